import type { Node } from 'libpg-query'
import type { MigrationFile } from '../../model.ts'
import { parseSql } from '../lint/parser.ts'
import { as, type Fields, type Kind, names, unwrap } from '../lint/walk.ts'
import { placeholdersOf, readable } from './placeholders.ts'

/** An index that a statement makes or drops by name. */
export interface IndexTarget {
  /** Undefined where the server is to choose one. */
  readonly name: string | undefined
  readonly table?: string
  readonly unique?: boolean
}

/**
 * How a statement of a file without a transaction is run. `direct`: by itself, as the owner, because it cannot be run in a
 * function; it calls nothing but what the server runs with the owner's rights in any case. `patient`: its locks let clients go
 * on, so that it may wait for them long. `wrapped`: anything else.
 */
export type Way =
  | { readonly kind: 'wrapped' }
  | { readonly kind: 'direct'; readonly patient: boolean }
  | { readonly kind: 'create-index' | 'drop-index'; readonly index: IndexTarget }
  | { readonly kind: 'reindex' }

const WRAPPED: Way = { kind: 'wrapped' }
const DIRECT: Way = { kind: 'direct', patient: false }
const PATIENT: Way = { kind: 'direct', patient: true }

/** Decides by the parsed statement; what cannot be parsed is wrapped, and the server says what is wrong with it. */
export async function wayOf(statement: string): Promise<Way> {
  const { value = [] } = await parseSql(statement)
  const [only, ...others] = value
  return only === undefined || others.length > 0 ? WRAPPED : wayOfNode(only.node)
}

const WAYS: { readonly [K in Kind]?: (node: Fields<K>) => Way } = {
  IndexStmt: ({ concurrent, idxname: name, relation, unique }) =>
    concurrent
      ? { kind: 'create-index', index: { name, table: relation?.relname ?? '', unique: unique === true } }
      : WRAPPED,
  DropStmt: ({ concurrent, objects = [] }) =>
    concurrent ? { kind: 'drop-index', index: { name: names(as('List', objects[0])?.items).at(-1) } } : WRAPPED,
  ReindexStmt: ({ params }) => (hasOption(params, 'concurrently') ? { kind: 'reindex' } : WRAPPED),
  VacuumStmt: ({ options }) => (hasOption(options, 'full') ? WRAPPED : PATIENT),
  RefreshMatViewStmt: ({ concurrent }) => (concurrent ? DIRECT : WRAPPED),
  AlterEnumStmt: ({ oldVal }) => (oldVal === undefined ? DIRECT : WRAPPED),
  AlterTableStmt: ({ cmds = [] }) => (cmds.every(detachesConcurrently) ? DIRECT : WRAPPED),
}

function wayOfNode(node: Node): Way {
  const { kind, node: fields } = unwrap(node)
  const decide = WAYS[kind] as ((of: object) => Way) | undefined
  return decide?.(fields) ?? WRAPPED
}

function hasOption(options: readonly Node[] | undefined, name: string): boolean {
  return options?.some((node) => as('DefElem', node)?.defname === name) ?? false
}

function detachesConcurrently(node: Node): boolean {
  const { subtype, def } = as('AlterTableCmd', node) ?? {}
  if (subtype === 'AT_DetachPartitionFinalize') return true
  return subtype === 'AT_DetachPartition' && as('PartitionCmd', def)?.concurrent === true
}

/** Where each statement of a file is, in characters; none for a file that cannot be read. */
export async function statementSpans(body: string): Promise<NonNullable<MigrationFile['statements']>> {
  const { value = [] } = await parseSql(readable(body, await placeholdersOf(body)))
  const bytes = Buffer.from(body)
  let [byte, character] = [0, 0]
  const characterAt = (offset: number): number => {
    character += bytes.toString('utf8', byte, offset).length
    byte = offset
    return character
  }
  return value.map(({ start, end }) => ({ start: characterAt(start), end: characterAt(end) }))
}

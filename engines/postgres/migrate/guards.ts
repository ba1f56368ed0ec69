import type { AlterTableCmd, AlterTableStmt, DropStmt } from 'libpg-query'
import type { Emptiness } from '../../model.ts'
import { type Parsed, parseSql } from '../lint/parser.ts'
import { shown } from '../lint/shown.ts'
import { as, names, unwrap } from '../lint/walk.ts'
import { OWN_SCHEMA, placeholdersOf, readable } from './placeholders.ts'

/** What must hold nothing so that a down file loses nothing, or why that cannot be told of it. */
export type Guards =
  | { readonly guards: readonly Emptiness[]; readonly reason?: undefined }
  | { readonly guards?: undefined; readonly reason: string }

/** What holds no data of its own; the server refuses to drop what something else needs. */
const DROPPABLE: readonly (DropStmt['removeType'] | undefined)[] = [
  'OBJECT_INDEX',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_FUNCTION',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_TRIGGER',
  'OBJECT_POLICY',
  'OBJECT_RULE',
  'OBJECT_TYPE',
  'OBJECT_DOMAIN',
  'OBJECT_STATISTIC_EXT',
]

/** Parts of ALTER TABLE that change no value, the dropping of columns aside. */
const HARMLESS: readonly (AlterTableCmd['subtype'] | undefined)[] = [
  'AT_AddConstraint',
  'AT_ColumnDefault',
  'AT_DisableTrig',
  'AT_DropConstraint',
  'AT_DropNotNull',
  'AT_EnableTrig',
  'AT_ResetOptions',
  'AT_ResetRelOptions',
  'AT_SetNotNull',
  'AT_SetOptions',
  'AT_SetRelOptions',
  'AT_SetStatistics',
  'AT_ValidateConstraint',
]

/** Statements that change no value either, whatever they say. */
const KEEPING = ['CommentStmt', 'CreateFunctionStmt', 'CreateTrigStmt', 'GrantStmt', 'ViewStmt']

const SETTINGS = ['lock_timeout', 'statement_timeout']

/**
 * Reads a down file: what it drops is to be empty then. Only statements are let through of which it is known that they lose
 * nothing else; a statement that renames is none, since what is dropped then could not be told beforehand.
 */
export async function guardsOf(body: string): Promise<Guards> {
  const { value, refusal } = await parseSql(readable(body, await placeholdersOf(body)))
  if (refusal) return { reason: `it cannot be read: ${shown(refusal.message)}` }
  const found = value.map(guardsOfStatement)
  const reasons = found.flatMap(({ reason }, i) => (reason === undefined ? [] : [`statement ${i + 1} ${reason}`]))
  if (reasons[0] !== undefined) return { reason: reasons[0] }
  const guards = found.flatMap((each) => each.guards ?? [])
  return { guards: [...new Map(guards.map((guard) => [JSON.stringify(guard), guard])).values()] }
}

function guardsOfStatement({ node }: Parsed): Guards {
  const visited = unwrap(node)
  switch (visited.kind) {
    case 'DropStmt':
      return guardsOfDrop(visited.node)
    case 'AlterTableStmt':
      return guardsOfAlter(visited.node)
    case 'IndexStmt':
      return visited.node.concurrent ? OUTSIDE : NONE
    case 'VariableSetStmt': {
      const { is_local: local, name = '' } = visited.node
      return local && SETTINGS.includes(name)
        ? NONE
        : { reason: 'sets something other than a timeout of the transaction' }
    }
    default:
      return KEEPING.includes(visited.kind) ? NONE : { reason: `may lose data: it is a ${visited.kind}` }
  }
}

const NONE: Guards = { guards: [] }
const OUTSIDE: Guards = { reason: 'works CONCURRENTLY, and a down file runs in a transaction' }

function guardsOfDrop({ objects = [], removeType, behavior, concurrent }: DropStmt): Guards {
  if (behavior === 'DROP_CASCADE') return { reason: 'drops with CASCADE, and so what is not named' }
  if (concurrent) return OUTSIDE
  if (DROPPABLE.includes(removeType)) return NONE
  if (removeType !== 'OBJECT_TABLE') return { reason: 'drops what may hold data and is no table' }
  return all(objects.map((node) => tableGuard(names(as('List', node)?.items))))
}

function tableGuard(parts: readonly string[]): Guards {
  const [table = '', schema = OWN_SCHEMA] = parts.toReversed()
  return schema === OWN_SCHEMA ? { guards: [{ table }] } : { reason: 'names another schema' }
}

function guardsOfAlter({ relation, cmds: commands = [], objtype }: AlterTableStmt): Guards {
  const table = relation?.relname ?? ''
  if (objtype !== 'OBJECT_TABLE') return { reason: 'alters what is no table' }
  if ((relation?.schemaname ?? OWN_SCHEMA) !== OWN_SCHEMA) return { reason: 'names another schema' }
  return all(
    commands.map((node): Guards => {
      const { subtype, name = '', behavior } = as('AlterTableCmd', node) ?? {}
      if (behavior === 'DROP_CASCADE') return { reason: 'drops with CASCADE, and so what is not named' }
      if (subtype === 'AT_DropColumn') return { guards: [{ table, column: name }] }
      return HARMLESS.includes(subtype) ? NONE : { reason: `may lose data: it alters ${shown(table)} in another way` }
    }),
  )
}

function all(found: readonly Guards[]): Guards {
  return found.find(({ reason }) => reason !== undefined) ?? { guards: found.flatMap(({ guards }) => guards ?? []) }
}

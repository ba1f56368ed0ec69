import { AppError } from '@tenantry/crds/errors.ts'
import type { Comment } from '../../postgres/lint/comments.ts'
import type { Findings } from '../../postgres/lint/findings.ts'
import { type HeaderProblem, parseHeader } from '../../postgres/lint/header.ts'
import { type IgnoreRead, isDirective, readIgnores } from '../../postgres/lint/ignores.ts'
import type { SqlFile } from '../../postgres/lint/lint.ts'
import { positionsOf } from '../../postgres/lint/positions.ts'
import { type Placed, report } from '../../postgres/lint/report.ts'
import { type Cut, cutFile, type Piece } from '../split.ts'
import type { Token } from '../tokens.ts'
import { readStatement } from './reading.ts'
import { usedBeforeRemoval } from './removals.ts'
import type { Category, Hit } from './rule.ts'
import { BOOK, checkPolicy, type Policy, RULE_IDS, RULES, type RuleId } from './rules.ts'

/** What was found in a file for ClickHouse: the shape is that of all engines. */
export type ChFindings = Findings<RuleId, Category>

/** A file may have so many bytes: 5 MiB. */
export const LARGEST_FILE = 5 * 1024 * 1024

/**
 * What the rules say of a file. ClickHouse's grammar has no parser beside the server's own: rules look at tokens, and what they
 * do not know is an error. Throws AppError `InvalidSpec` for a policy that cannot be used, and for no file whatever.
 */
export function lintClickHouse({ name, body }: SqlFile, policy: Policy = {}): ChFindings {
  checkPolicy(policy)
  const { header, problems } = parseHeader(body)
  const source = { name, header, positions: positionsIn(body), book: BOOK }
  const placed = problems.map(asPlaced)
  const cut = readable(body)
  if (typeof cut === 'string') {
    return report(
      source,
      { placed: [...placed, { rule: 'unreadable-file', message: cut, at: 0 }], ignores: [] },
      policy,
    )
  }
  const found = look(cut.pieces, body)
  return report(source, { placed: [...placed, ...found], ignores: ignoresOf(body, cut) }, policy)
}

function asPlaced({ line, message }: HeaderProblem): Placed<RuleId> {
  return { rule: 'invalid-header', message, line }
}

function readable(body: string): Cut | string {
  if (Buffer.byteLength(body) > LARGEST_FILE) return `it has more than ${LARGEST_FILE} bytes`
  if (body.includes('\0')) return 'it has a NUL character'
  try {
    return cutFile(body)
  } catch (error) {
    if (error instanceof AppError) return error.message
    throw error
  }
}

function look(pieces: readonly Piece[], body: string): readonly Placed<RuleId>[] {
  const statements = pieces.map((piece) => readStatement(body, piece))
  const removals = usedBeforeRemoval(statements)
  return statements.flatMap((read, statement) => {
    const placed = (rule: RuleId, hits: readonly Hit[] = []): readonly Placed<RuleId>[] =>
      hits.map(({ message, part = read.parts[0] }) => ({ rule, message, at: part?.start ?? 0, statement }))
    const own = RULE_IDS.flatMap((rule) => placed(rule, RULES[rule].find(read)))
    return [...own, ...placed('used-before-removal', removals[statement])]
  })
}

function ignoresOf(body: string, { pieces, rest }: Cut): readonly IgnoreRead<RuleId>[] {
  const before = pieces.flatMap(({ commentsBefore, commentsWithin }, statement) => [
    ...readIgnores(asComments(body, commentsBefore), { statement, last: false }, BOOK),
    ...asComments(body, commentsWithin).flatMap(misplaced),
  ])
  return [...before, ...readIgnores(asComments(body, rest), { statement: pieces.length, last: true }, BOOK)]
}

function misplaced({ text, start }: Comment): readonly IgnoreRead<RuleId>[] {
  return isDirective(text) ? [{ problem: 'an ignore stands before its statement, not within', start }] : []
}

function asComments(body: string, tokens: readonly Token[]): readonly Comment[] {
  return tokens.map(({ start, end }) => ({
    text: body.slice(start, end),
    start,
    ownLine: /(?:^|\n)[ \t]*$/.test(body.slice(Math.max(0, start - LONGEST_INDENT), start)),
  }))
}

const LONGEST_INDENT = 200

/** Places are counted in bytes there, and in UTF-16 units here. Most are asked for in the order of the file. */
function positionsIn(body: string): ReturnType<typeof positionsOf> {
  const positions = positionsOf(Buffer.from(body))
  let last = { at: 0, byte: 0 }
  return (at) => {
    const from = at >= last.at ? last : { at: 0, byte: 0 }
    last = { at, byte: from.byte + Buffer.byteLength(body.slice(from.at, at)) }
    return positions(last.byte)
  }
}

import { Slices } from '../../slices.ts'
import { placeholdersOf, readable } from '../migrate/placeholders.ts'
import { check, type Found } from './check.ts'
import { commentsBetween } from './comments.ts'
import { expected } from './expected.ts'
import { Facts } from './facts.ts'
import type { Findings } from './findings.ts'
import { type Header, parseHeader } from './header.ts'
import { type IgnoreRead, isDirective, readIgnores } from './ignores.ts'
import { longNames } from './long-names.ts'
import { type Parsed, parseSql, type Refusal, scanSql } from './parser.ts'
import { byteOfCharacter, positionsOf } from './positions.ts'
import { type Placed, report } from './report.ts'
import { BOOK, checkPolicy, type Policy, type RuleId } from './rules.ts'
import { quoted, shown } from './shown.ts'

/** A file as it would be applied. */
export interface SqlFile {
  readonly name: string
  readonly body: string
}

/** A file may have so many bytes: 5 MiB. A call of the parser takes about a third of a second for each MiB of usual statements. */
export const LARGEST_FILE = 5 * 1024 * 1024

/**
 * What the rules say of a file. Postgres' own parser reads it, in one call, during which nothing else runs; between statements
 * others have their turn. Throws AppError `InvalidSpec` for a policy that cannot be used, and for no file whatever.
 */
export async function lint(file: SqlFile, policy: Policy = {}): Promise<Findings> {
  checkPolicy(policy)
  const { header, problems } = parseHeader(file.body)
  const size = Buffer.byteLength(file.body)
  const body = size > LARGEST_FILE ? '' : readable(file.body, await placeholdersOf(file.body))
  const bytes = Buffer.from(body)
  const source = { name: file.name, positions: positionsOf(bytes), header, book: BOOK }
  if (size > LARGEST_FILE) return report(source, { placed: [tooLarge(size)], ignores: [] }, policy)
  const placed: Placed<RuleId>[] = problems.map(({ line, message }) => ({ rule: 'invalid-header', message, line }))
  const { value: statements, refusal } = await parseSql(body)
  if (refusal) return report(source, { placed: [...placed, await refused(refusal, body, bytes)], ignores: [] }, policy)
  const seen = await look(bytes, header, statements)
  return report(source, { placed: [...placed, ...seen.placed], ignores: seen.ignores }, policy)
}

interface Seen {
  readonly placed: Placed<RuleId>[]
  readonly ignores: IgnoreRead<RuleId>[]
}

async function look(bytes: Buffer, header: Header, statements: readonly Parsed[]): Promise<Seen> {
  const facts = new Facts(statements)
  const seen: Seen = { placed: [], ignores: [] }
  const slices = new Slices()
  let from = 0
  for (const [i, statement] of statements.entries()) {
    if (slices.isOver) await slices.next()
    const text = bytes.toString('utf8', statement.start, statement.end)
    const before = readIgnores(commentsBetween(bytes, from, statement.start), { statement: i, last: false }, BOOK)
    for (const each of [...before, ...(await misplaced(statement, text))]) seen.ignores.push(each)
    const found = [...(await check({ node: statement.node, text }, header, facts)), ...(await tooLong(statement, text))]
    for (const { at = statement.start, ...rest } of found) seen.placed.push({ ...rest, at, statement: i })
    facts.learn(statement.node)
    from = statement.end
  }
  const after = readIgnores(
    commentsBetween(bytes, from, bytes.length),
    { statement: statements.length, last: true },
    BOOK,
  )
  return { ...seen, ignores: [...seen.ignores, ...after] }
}

/** Comments within a statement are for people only. */
async function misplaced({ start }: Parsed, text: string): Promise<readonly IgnoreRead<RuleId>[]> {
  if (!text.includes('lint:')) return []
  const { value = [] } = await scanSql(text)
  return value
    .filter(({ tokenName, text: token }) => tokenName.endsWith('COMMENT') && isDirective(token))
    .map((token) => ({ problem: 'an ignore stands before its statement, not within', start: start + token.start }))
}

async function tooLong(statement: Parsed, text: string): Promise<readonly Found[]> {
  return (await longNames(statement, text)).map(({ name, at }) => ({
    rule: 'identifier-too-long',
    message: `${quoted(name)} has ${Buffer.byteLength(name)} bytes`,
    at,
  }))
}

async function refused({ message, character }: Refusal, body: string, bytes: Buffer): Promise<Placed<RuleId>> {
  if (character === undefined) return { rule: 'unreadable-file', message, at: 0 }
  const at = byteOfCharacter(bytes, character)
  // Of a string without an end, for one, nothing can be expected.
  const hint = message.startsWith('syntax error') ? await expected(body, bytes.toString('utf8', 0, at)) : ''
  return { rule: 'syntax-error', message: `${shown(message)}${hint}`, at }
}

function tooLarge(size: number): Placed<RuleId> {
  return { rule: 'unreadable-file', message: `it has ${size} bytes, and at most ${LARGEST_FILE} are read`, at: 0 }
}

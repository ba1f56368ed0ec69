import type { MigrationFile, SchemaAnswer, SchemaQuestion } from '../../model.ts'
import type { Server } from '../session.ts'
import { BASICS, type Basics } from './ledger.ts'
import { type Digest, readDigests, readPictures } from './look.ts'
import { comparePictures, type Picture } from './picture.ts'
import { readOnly } from './read-only.ts'
import { repairsOf } from './repair.ts'
import { type Replayed, replay } from './replay.ts'

/** Views are locked while they are read, until the transaction ends: more of them at once would fill the server's table of locks. */
const SCHEMAS_AT_ONCE = 200

/** Of different histories, on one shard: a rollout has a few at a time. */
const KEPT = 16

/** What files made, by server version and checksums. It is the same for all tenants of a version. */
const kept = new WeakMap<Server, Map<string, Replayed>>()

/**
 * Compares schemas with what the files of their ledgers make: digests first, which the server computes, and object by object only
 * where they differ.
 */
export async function compareSchemas(
  server: Server,
  question: SchemaQuestion,
  signal: AbortSignal,
): Promise<readonly SchemaAnswer[]> {
  const answers: SchemaAnswer[] = []
  for (const [place, subjects] of Map.groupBy(question.subjects, (subject) => subject.place)) {
    for (let start = 0; start < subjects.length; start += SCHEMAS_AT_ONCE) {
      const some = subjects.slice(start, start + SCHEMAS_AT_ONCE)
      answers.push(...(await compareSome(server, { ...question, subjects: some, place }, signal)))
    }
  }
  return answers
}

type Part = SchemaQuestion & { readonly place: string | undefined }

async function compareSome(server: Server, part: Part, signal: AbortSignal): Promise<readonly SchemaAnswer[]> {
  const { version, found } = await look(server, part, signal)
  const histories = Map.groupBy(found, ({ files }) => files.join('\n'))
  const expected = new Map<string, Replayed>()
  for (const [history, [one]] of histories) {
    expected.set(history, await expectedOf(server, { part, version, files: one?.files ?? [] }, signal))
  }
  const judged = found.map((digest) => ({ digest, want: expected.get(digest.files.join('\n')) }))
  const differing = judged.filter(({ digest, want }) => want?.unknown === undefined && want?.digest !== digest.digest)
  const schemas = new Set(differing.map(({ digest }) => digest.schema))
  const pictures = await readAll(
    server,
    { ...part, subjects: part.subjects.filter(({ schema }) => schemas.has(schema)) },
    signal,
  )
  return judged.map(({ digest, want }) => answerOf(part, digest, want, pictures.get(digest.schema)))
}

function answerOf(
  part: Part,
  { schema, files }: Digest,
  want: Replayed | undefined,
  found: Picture | undefined,
): SchemaAnswer {
  const version = files.at(-1)?.split(' ', 1)[0]
  const base = { schema, ...(version !== undefined && { version }) }
  if (!want || want.unknown !== undefined) {
    return { ...base, differences: [], repairs: [], ...(want && { unknown: want.unknown }) }
  }
  if (!found) return { ...base, differences: [], repairs: [] }
  const differences = comparePictures(want.picture, found)
  const subject = part.subjects.find((one) => one.schema === schema) ?? { schema }
  return { ...base, differences, repairs: repairsOf(subject, want.picture, found) }
}

async function expectedOf(
  server: Server,
  { part, version, files }: { part: Part; version: number; files: readonly string[] },
  signal: AbortSignal,
): Promise<Replayed> {
  const found = files.map((one) => ({ one, file: fileOf(part.files, one) }))
  const lost = found.find(({ file }) => !file)
  if (lost) {
    const number = lost.one.split(' ', 1)[0]
    return { unknown: `the SQL file of version ${number} that was applied is not among the Database's files any more` }
  }
  const script = { shared: part.shared, files: found.flatMap(({ file }) => file ?? []) }
  const memory = kept.get(server) ?? new Map<string, Replayed>()
  kept.set(server, memory)
  const key = JSON.stringify([version, part.shared, files])
  const known = memory.get(key)
  if (known) return known
  const replayed = await replay(server, script, signal)
  if (replayed.unknown !== undefined) return replayed
  memory.set(key, replayed)
  for (const oldest of [...memory.keys()].slice(0, -KEPT)) memory.delete(oldest)
  return replayed
}

function fileOf(files: readonly MigrationFile[], applied: string): MigrationFile | undefined {
  return files.find(({ version, checksum }) => `${version} ${checksum}` === applied)
}

/** The digests of some schemas of one database, and the version of its server. */
async function look(
  server: Server,
  { subjects, place }: Part,
  signal: AbortSignal,
): Promise<{ readonly version: number; readonly found: readonly Digest[] }> {
  return await readOnly(server, { place, doing: 'look at schemas' }, signal, async (read) => {
    const [{ form, version } = { form: 'none' as const, version: 0 }] = await read<Basics>(BASICS)
    return { version, found: await readDigests(read, subjects, form) }
  })
}

async function readAll(
  server: Server,
  { subjects, place }: Part,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Picture>> {
  if (subjects.length === 0) return new Map()
  return await readOnly(server, { place, doing: 'look at schemas' }, signal, (read) => readPictures(read, subjects))
}

/** `migrate`: how fast a SQL file reaches every schema of a shard, beside bare SQL over as many connections. */
import type { Connection, MigrationFile } from '@tenantry/engines/model.ts'
import { postgres } from '@tenantry/engines/postgres/engine.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { escapeIdentifier, Pool } from 'pg'
import { type PlatformOptions, withStack } from '../platform.ts'
import {
  applyFiles,
  connectionOf,
  fileOf,
  INSTALLATION,
  type Member,
  makeDatabase,
  memberOf,
  type PgSession,
} from './members.ts'
import { type Round, renderMigrate } from './report.ts'
import { openWriter } from './writer.ts'

/** As the operator has for each shard by default. */
const CONNECTIONS = 4
const SESSION = {
  installation: INSTALLATION,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 60_000,
  maxConnections: CONNECTIONS,
}
/** Both sides take turns after so many schemas, so that they share the machine's mood. */
const TURN = 50
/** So many schemas has the small shard that the large one is compared with. */
const SMALL = 100
const FIRST = fileOf('1', 'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);')

export interface MigrateOptions extends PlatformOptions {
  readonly tenants: number
  readonly runs: number
}

interface Bench {
  readonly session: PgSession
  readonly floor: Pool
  readonly shard: Connection
  readonly signal: AbortSignal
}

/** Resolves to what is to be printed, JSON on the last line. */
export async function migrate(options: MigrateOptions): Promise<string> {
  return await withStack(options, async ({ stack }) => {
    const { host, port, username: user, password, database } = stack.postgres
    const session = postgres.connect(stack.postgres, SESSION)
    const floor = new Pool({ host, port, user, password, database, max: CONNECTIONS })
    try {
      return await measure({ session, floor, shard: stack.postgres, signal: options.signal }, options)
    } finally {
      await Promise.all([session.close(), floor.end()])
    }
  })
}

interface Sides {
  readonly engine: readonly Member[]
  readonly floor: readonly Member[]
  readonly files: readonly MigrationFile[]
}

async function measure(bench: Bench, options: MigrateOptions): Promise<string> {
  const { runs, log } = options
  await makeDatabase(bench.session, bench.signal)
  const [bystander] = await grow(bench, { name: 'bystander', from: 0, to: 1 })
  if (!bystander) throw new Error('the tenant beside was not made')
  let sides: Sides = { engine: [], floor: [], files: [FIRST] }
  const rounds: Round[] = []
  for (const schemas of [SMALL, options.tenants]) {
    sides = {
      ...sides,
      engine: [...sides.engine, ...(await growLike(bench, sides, { name: 'engine', to: schemas }))],
      floor: [...sides.floor, ...(await growLike(bench, sides, { name: 'floor', to: schemas }))],
    }
    log(`There are ${2 * schemas} schemas`)
    for (let run = 0; run <= runs; run++) {
      const file = nextFile(sides.files)
      const round = await runRound(bench, { sides, file, bystander })
      sides = { ...sides, files: [...sides.files, file] }
      // The first of each size warms both sides up.
      if (run === 0) continue
      rounds.push(round)
      log(
        `Run ${run} of ${runs}, ${schemas} schemas: ${round.engineSeconds.toFixed(2)} s, bare SQL ${round.floorSeconds.toFixed(2)} s`,
      )
    }
  }
  return renderMigrate({ schemas: options.tenants, small: SMALL, runs, connections: CONNECTIONS }, rounds)
}

function nextFile(files: readonly MigrationFile[]): MigrationFile {
  const version = String(files.length + 1)
  return fileOf(
    version,
    `ALTER TABLE orders ADD COLUMN c${version} text;\nCREATE INDEX by_c${version} ON orders (c${version});`,
  )
}

interface Growth {
  readonly name: string
  readonly from: number
  readonly to: number
}

/** Makes tenants with the first file, through the engine. */
async function grow(
  { session, signal }: Bench,
  { name, from, to }: Growth,
  files = [FIRST],
): Promise<readonly Member[]> {
  const members = Array.from({ length: to - from }, (_, i) => memberOf(`${name}-${from + i}`))
  await applyFiles(session, { members, files, connections: CONNECTIONS }, signal)
  return members
}

/** Those that come later get all files that the others have. */
async function growLike(
  bench: Bench,
  sides: Sides,
  { name, to }: Pick<Growth, 'name' | 'to'>,
): Promise<readonly Member[]> {
  return await grow(bench, { name, from: sides.engine.length, to }, [...sides.files])
}

interface RoundOf {
  readonly sides: Sides
  readonly file: MigrationFile
  readonly bystander: Member
}

async function runRound(bench: Bench, { sides, file, bystander }: RoundOf): Promise<Round> {
  const round = { schemas: sides.engine.length, engineSeconds: 0, floorSeconds: 0, waitMs: 0, bystanderWaitMs: 0 }
  for (let from = 0; from < sides.engine.length; from += TURN) {
    const [members, others] = [sides.engine.slice(from, from + TURN), sides.floor.slice(from, from + TURN)]
    const writers = await Promise.all(
      [members.at(-1) ?? bystander, bystander].map((member) => openWriter(connectionOf(bench.shard, member))),
    )
    // The clients write while either side works: they are a part of its load.
    round.floorSeconds += await runFloor(bench, others, file)
    const files = [...sides.files, file]
    round.engineSeconds += await applyFiles(bench.session, { members, files, connections: CONNECTIONS }, bench.signal)
    const [wait = 0, beside = 0] = await Promise.all(writers.map((writer) => writer.stop()))
    round.waitMs = Math.max(round.waitMs, wait)
    round.bystanderWaitMs = Math.max(round.bystanderWaitMs, beside)
  }
  return round
}

/** What has to be sent at the least: the file as the owner of the schema, in a transaction, in one message. */
async function runFloor(
  { floor, signal }: Bench,
  members: readonly Member[],
  { body }: MigrationFile,
): Promise<number> {
  const slots = new Semaphore(CONNECTIONS)
  const begin = performance.now()
  const run = async ({ name }: Member): Promise<void> => {
    const [schema, owner] = [escapeIdentifier(name), escapeIdentifier(`${name}_owner`)]
    const opening = `BEGIN; SET LOCAL ROLE ${owner}; SET LOCAL search_path TO ${schema}, public`
    await floor.query(`${opening};\n${body}\nCOMMIT`)
  }
  await Promise.all(members.map((member) => slots.run(() => run(member), signal)))
  return (performance.now() - begin) / 1_000
}

import { decodeMark } from '@tenantry/engines/mark.ts'
import { TENANTS } from '@tenantry/operator/operator.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { type OperatorProcess, spawnOperator } from '../support/operator-process.ts'
import {
  clickhouseAs,
  everywhere,
  makePlatform,
  type Platform,
  place,
  postgresAs,
  READY,
  redisAs,
} from '../support/platform.ts'
import { useStack } from '../support/stack.ts'
import { getTenant, madeSecrets, removeTenant, untilGone } from '../support/watching.ts'

const KILLS = 12
/** Any number: the kills of a run fall at the same distances again. */
const SEED = 20_260_101

let op: TestOperator
let platform: Platform
let operator: OperatorProcess

beforeAll(async () => {
  // The operator in this process looks after nothing: it is here for its helpers.
  op = await startTestOperator({ TENANTRY_SELECTOR: 'nobody=looks' })
  operator = spawnOperator(op.installation)
  platform = await makePlatform(op)
})

afterAll(() => operator.kill())

test('an operator that is killed again and again makes every tenant whole in the end and leaves nothing of the deleted', async () => {
  const random = mulberry32(SEED)
  const alive = new Set<string>()
  const deleted = new Set<string>()
  let interrupted = 0
  for (let kill = 0; kill < KILLS; kill++) {
    await operator.ready()
    for (const name of [`t${kill}-a`, `t${kill}-b`]) {
      await op.applyTenant({ name, spec: everywhere('Delete') })
      alive.add(name)
    }
    const going = [...alive].filter((name) => !name.startsWith(`t${kill}-`) && name.endsWith('-b')).slice(0, 2)
    for (const name of going) {
      await removeTenant(op, name)
      alive.delete(name)
      deleted.add(name)
    }
    await new Promise((wake) => setTimeout(wake, 5 + random() * 395))
    await operator.kill()
    if (await isHalfDone()) interrupted++
    operator = spawnOperator(op.installation)
  }
  expect(interrupted).toBeGreaterThan(0)
  expect(deleted.size).toBeGreaterThanOrEqual(KILLS - 2)

  for (const name of deleted) await untilGone(op, name)
  for (const name of alive) {
    const tenant = await untilCondition(op, TENANTS, name, { condition: READY })
    expect(tenant.status?.databasesReady).toBe('3/3')
    const sql = await postgresAs(await op.secret(`${name}-oltp`))
    await sql.query(`insert into customers (name) values ('Ann')`)
    const cache = await redisAs(await op.secret(`${name}-cache`))
    await cache.set(`${place(tenant, 'cache').keyPrefix}k`, 'v')
    await sql.end()
    cache.disconnect()
  }
  await until('the Secrets to be those of the living alone', async () => {
    const wanted = [...alive].flatMap((name) => ['oltp', 'cache', 'analytics'].map((entry) => `${name}-${entry}`))
    expect((await madeSecrets(op)).toSorted()).toEqual(wanted.toSorted())
  })
  await expectOnly(alive)
  expect(await operator.stop()).toBe(0)
  operator = spawnOperator(op.installation)
})

/** Something was begun and is not done. */
async function isHalfDone(): Promise<boolean> {
  const { items } = await op.kube.list(TENANTS, { namespace: op.namespace })
  return items.some(({ metadata, status }) => {
    const ready = status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True')
    return metadata.finalizers?.length && (metadata.deletionTimestamp !== undefined || !ready)
  })
}

/** Everything in the engines that carries this installation's mark belongs to a living Tenant, and each has all its parts. */
async function expectOnly(alive: ReadonlySet<string>): Promise<void> {
  const names = [...alive].toSorted()
  const tenants = await Promise.all(names.map((name) => getTenant(op, name)))
  const admin = await postgresAs(platform.postgres)

  const bases = tenants.map((tenant) => place(tenant, 'oltp').schema ?? '').toSorted()
  const roles = await admin.query<{ name: string; mark: string | null }>(
    `select rolname as name, shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname like 't\\_%'`,
  )
  const ours = roles.rows.filter(({ mark }) => decodeMark(mark)?.installation === op.installation)
  const wanted = bases.flatMap((base) => ['_app_a', '_owner', '_ro', '_rw'].map((suffix) => base + suffix))
  expect(ours.map(({ name }) => name).toSorted()).toEqual(wanted.toSorted())
  // This file's Postgres database holds nothing of another file: a role without a mark would be a lost one.
  const schemas = await admin.query<{ name: string }>(
    `select nspname as name from pg_namespace where nspname like 't\\_%'`,
  )
  expect(schemas.rows.map(({ name }) => name).toSorted()).toEqual(bases)
  const files = await admin.query(
    `select schema, count(*)::int as files from tenantry.migration where event = 'apply' group by schema order by schema`,
  )
  expect(files.rows).toEqual(bases.map((schema) => ({ schema, files: 2 })))

  const redis = await redisAs(useStack().redis)
  const spaces = Object.entries(await redis.hgetall('tenantry:registry'))
  const claimed = spaces.filter(([, mark]) => decodeMark(mark)?.installation === op.installation).map(([name]) => name)
  const logins = tenants.map((tenant) => place(tenant, 'cache').login ?? '').toSorted()
  expect(claimed.toSorted()).toEqual(logins)
  const users = (await redis.call('ACL', 'USERS')) as readonly string[]
  expect(logins.filter((login) => !users.includes(login))).toEqual([])

  const found = await clickhouseAs(useStack().clickhouse).query({
    query: 'SELECT name, comment FROM system.databases',
    format: 'JSONEachRow',
  })
  const databases = ((await found.json()) as readonly { name: string; comment: string }[]).filter(
    ({ comment }) => decodeMark(comment)?.installation === op.installation,
  )
  expect(databases.map(({ name }) => name).toSorted()).toEqual(
    tenants.map((tenant) => place(tenant, 'analytics').database ?? '').toSorted(),
  )
}

/** A small generator of numbers in [0, 1) that a seed determines. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

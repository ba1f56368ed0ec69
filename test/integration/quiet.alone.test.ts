import { TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { everywhere, makePlatform, makeTenant, type Platform, postgresAs, READY } from '../support/platform.ts'

const LEASE = 'leases.coordination.k8s.io'

let op: TestOperator
let platform: Platform
const names = ['one', 'two', 'three', 'four', 'five']

beforeAll(async () => {
  op = await startTestOperator()
  platform = await makePlatform(op)
  await Promise.all(names.map((name) => makeTenant(op, name)))
})

describe('once everything is as specified', () => {
  test('two resyncs write nothing to the API and nothing to an engine', async () => {
    await resyncs(2)
    const before = await writes()
    await resyncs(2)
    expect(await writes()).toEqual(before)
  })

  test('a resync asks each server the same number of questions for five tenants as for one', async () => {
    await resyncs(1)
    const observed = await observations()
    await resyncs(2)
    const after = await observations()
    expect(after.scoped - observed.scoped).toBeLessThanOrEqual(after.whole - observed.whole)
  })

  test('a resync compares every tenant with every shard it is on, and reconciles only the one that differs', async () => {
    const before = { same: await compared('same'), differs: await compared('differs'), reconciled: await reconciles() }
    await resyncs(2)
    expect((await compared('same')) - before.same).toBeGreaterThanOrEqual(2 * 3 * names.length)
    expect(await reconciles()).toBe(before.reconciled)

    const tenant = await untilCondition(op, TENANTS, 'two', { condition: READY })
    const schema = tenant.status?.databases?.find(({ name }) => name === 'oltp')?.schema
    const admin = await postgresAs(platform.postgres)
    await admin.query(`revoke all on schema "${schema}" from "${schema}_rw"`)
    const granted = async () => {
      const { rows } = await admin.query(`select has_schema_privilege('${schema}_rw', '${schema}', 'usage') as granted`)
      expect(rows[0].granted).toBe(true)
    }
    await until('the grant to be repaired', granted)
    await resyncs(1)
    expect(await compared('differs')).toBe(before.differs + 1)
    expect(await reconciles()).toBe(before.reconciled + 1)
  })

  test('a restart finds everything as it is and writes nothing', async () => {
    await resyncs(1)
    const reconciled = await reconciles()
    await op.restart()
    await resyncs(2)
    expect(await reconciles()).toBe(reconciled)
    const { api } = await writes()
    expect(api, JSON.stringify(op.operator().client.requests.byKind())).toBe(0)
    for (const name of names) await untilCondition(op, TENANTS, name, { condition: READY })
  })

  test('a new tenant costs one write for the finalizer, one per Secret and one for the status', async () => {
    const before = perTenant()
    await makeTenant(op, 'sixth')
    await until('the operator to be done', async () => expect(op.operator().queues.Tenant.running).toEqual([]))
    expect(perTenant() - before).toBe(1 + everywhere().databases.length + 1)
  })
})

/** Writes to Tenants and Secrets: a Database also tells from time to time how many tenants it has. */
function perTenant(): number {
  const written = Object.entries(op.operator().client.requests.byKind())
  return written
    .filter(([what]) => /^(apply|patch|create|delete) (tenants|secrets)/.test(what))
    .reduce((sum, [, n]) => sum + n, 0)
}

/** Waits until every Database has resynced `count` times more. */
async function resyncs(count: number): Promise<void> {
  const start = (await observations()).whole
  await until(`${count} resyncs of all three Databases`, async () => {
    expect((await observations()).whole - start).toBeGreaterThanOrEqual(count * 3)
  })
  await until('the queues to be empty', async () => expect(op.operator().queues.Tenant.depth).toBe(0))
}

async function writes(): Promise<{ api: number; engines: number; changes: number; sql: number }> {
  const { requests } = op.operator().client
  // The Lease is renewed whatever happens.
  const api =
    requests.writes() -
    requests.count({ resource: LEASE, verb: 'create' }) -
    requests.count({ resource: LEASE, verb: 'patch' })
  return {
    api,
    engines: await count('tenantry_engine_call_duration_seconds', { op: 'apply' }),
    changes: await count('tenantry_changes_total', {}),
    sql: await statements(),
  }
}

const reconciles = () => count('controller_runtime_reconcile_total', { controller: 'tenant' })

const compared = (outcome: 'same' | 'differs') => count('tenantry_comparisons_total', { outcome })

async function observations(): Promise<{ whole: number; scoped: number }> {
  const name = 'tenantry_engine_call_duration_seconds'
  return { whole: await count(name, { op: 'observe-all' }), scoped: await count(name, { op: 'observe' }) }
}

async function count(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const metric = await op.metrics.registry.getSingleMetric(name)?.get()
  const values = (metric?.values ?? []) as readonly {
    value: number
    labels: Record<string, unknown>
    metricName?: string
  }[]
  return values
    .filter((one) => one.metricName === undefined || one.metricName.endsWith('_count'))
    .filter((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((sum, one) => sum + one.value, 0)
}

/** Statements other than reads that Postgres itself counted in this file's database. */
async function statements(): Promise<number> {
  const admin = await postgresAs(platform.postgres)
  await admin.query('create extension if not exists pg_stat_statements')
  const { rows } = await admin.query(
    `select coalesce(sum(calls), 0)::int as n from pg_stat_statements s join pg_database d on d.oid = s.dbid
     where d.datname = current_database() and query !~* '^\\s*(select|with|begin|commit|rollback|set|show|create extension)'`,
  )
  return rows[0].n
}

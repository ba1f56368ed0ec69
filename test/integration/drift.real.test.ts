import { findCondition } from '@tenantry/crds/conditions.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { place, postgresAs, READY, shard } from '../support/platform.ts'
import { freshPostgres } from '../support/stack.ts'

const FILE = `CREATE TABLE orders (id bigint PRIMARY KEY, placed timestamptz, note text);
CREATE INDEX orders_placed ON orders (placed);`

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
  await op.applyFiles('tables', { '0001_orders.sql': FILE })
  await op.applyFiles('shared-tables', { '0001_orders.sql': FILE.replace('(id', '(tenant_id text, id') })
})

/** A Database of its own with one tenant that is ready, and the administrator's hand on its server. */
async function platform(name: string, drift: 'Report' | 'Repair' | 'Ignore', isolation: 'Schema' | 'Row' = 'Schema') {
  const connection = await freshPostgres()
  await op.applySecret(name, connection)
  const schema = {
    sources: [{ configMapRef: { name: isolation === 'Row' ? 'shared-tables' : 'tables' } }],
    drift,
    driftInterval: '2s',
  }
  const spec = { engine: 'PostgreSQL', isolation, ...shard(name), schema } as const
  await op.applyDatabase({ name, spec })
  await op.applyTenant({ name, spec: { databases: [{ name: 'main', databaseRef: { name } }] } })
  const tenant = await untilCondition(op, TENANTS, name, { condition: READY })
  const admin = await postgresAs(connection)
  const at = place(tenant, 'main').schema ?? ''
  const setDrift = (to: string): Promise<unknown> =>
    op.applyDatabase({ name, spec: { ...spec, schema: { ...schema, drift: to as typeof drift } } })
  return { name, at, admin, setDrift }
}

const conditionOf = async (name: string, type: 'Tenant' | 'Database' = 'Tenant') => {
  const ref = { namespace: op.namespace, name }
  const object = await (type === 'Tenant' ? op.kube.get(TENANTS, ref) : op.kube.get(DATABASES, ref))
  return findCondition(object?.status?.conditions, 'SchemaDrifted')
}

describe('tables that somebody changed by hand', () => {
  test('are reported on the Tenant, its Database and in the metrics, once, until they are put right', async () => {
    const { name, at, admin } = await platform('reported', 'Report')
    await admin.query(`DROP INDEX "${at}".orders_placed; ALTER TABLE "${at}".orders ADD extra text`)
    await until('the Tenant to tell of it', async () => {
      expect(await conditionOf(name)).toMatchObject({
        status: 'True',
        reason: 'Drifted',
        message: 'main: column orders.extra is made by no SQL file, index orders_placed is missing',
      })
    })
    await until('the Database to count it', async () => {
      const database = await op.kube.get(DATABASES, { namespace: op.namespace, name })
      expect(database?.status?.drifted).toBe(1)
      expect(await conditionOf(name, 'Database')).toMatchObject({ status: 'True' })
    })
    expect(await op.metrics.registry.metrics()).toMatch(/tenantry_schema_drift\{engine="PostgreSQL"\} [1-9]/)
    const { rows } = await admin.query(`SELECT to_regclass('"${at}".orders_placed') AS index`)
    expect(rows).toEqual([{ index: null }])
    await admin.query(
      `SET ROLE "${at}_owner"; CREATE INDEX orders_placed ON "${at}".orders (placed); ALTER TABLE "${at}".orders DROP extra; RESET ROLE`,
    )
    await until('the conditions to go', async () => {
      expect(await conditionOf(name)).toBeUndefined()
      expect(await conditionOf(name, 'Database')).toBeUndefined()
    })
  })

  test('are made again under Repair as far as nothing is changed or lost, and the rest is reported', async () => {
    const { name, at, admin } = await platform('repaired', 'Repair')
    await admin.query(`DROP INDEX "${at}".orders_placed; ALTER TABLE "${at}".orders DROP note, ADD extra text`)
    await until('the index and the column to be back', async () => {
      const { rows } = await admin.query(
        `SELECT to_regclass('"${at}".orders_placed') IS NOT NULL AS index, (SELECT count(*)::int FROM pg_attribute
         WHERE attrelid = '"${at}".orders'::regclass AND attname IN ('note', 'extra') AND NOT attisdropped) AS columns`,
      )
      expect(rows).toEqual([{ index: true, columns: 2 }])
    })
    await until('the rest to be told', async () => {
      expect((await conditionOf(name))?.message).toBe('main: column orders.extra is made by no SQL file')
    })
  })

  test('are nobody’s business under Ignore', async () => {
    const { name, at, admin, setDrift } = await platform('ignored', 'Report')
    await admin.query(`DROP INDEX "${at}".orders_placed`)
    await until('the Tenant to tell of it', async () => expect(await conditionOf(name)).toBeDefined())
    await setDrift('Ignore')
    await until('the condition to go', async () => expect(await conditionOf(name)).toBeUndefined())
  })

  test('and are shared are told of on the Database', async () => {
    const { name, admin, at } = await platform('shared', 'Report', 'Row')
    await admin.query(`DROP INDEX "${at}".orders_placed`)
    await until('the Database to tell of it', async () => {
      expect(await conditionOf(name, 'Database')).toMatchObject({
        status: 'True',
        message: '1 schema is not as the SQL files make them; shard s0: index orders_placed is missing',
      })
    })
    expect(await conditionOf(name)).toBeUndefined()
  })
})

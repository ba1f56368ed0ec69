import type { Condition } from '@tenantry/crds/conditions.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Connection } from '@tenantry/engines/model.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import type { Client } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { clickhouseAs, makeTenant, place, postgresAs, READY, tables } from '../support/platform.ts'
import { freshPostgres, useStack } from '../support/stack.ts'
import { annotate, getTenant, removeTenant, untilGone } from '../support/watching.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator()
})

const shards = (name: string) => ({ interval: '1s', shards: [{ name: 's0', connectionSecretRef: { name } }] })
const on = (name: string, deletionPolicy: 'Delete' | 'Retain' = 'Delete') => ({
  deletionPolicy,
  databases: [{ name, databaseRef: { name } }],
})

describe('shared tables in Postgres', () => {
  let postgres: Connection
  let shared: string
  const ids = new Map<string, string>()

  const files = {
    '0001_countries.sql': `create table countries (code text primary key, name text not null);
      comment on table countries is 'ISO 3166, tenantry:reference';
      insert into countries values ('DE', 'Germany'), ('JP', 'Japan');`,
    '0002_documents.sql': `create table documents (
        tenant_id text not null default tenantry.tenant_id(), id bigint generated always as identity, title text not null,
        country text references countries, primary key (tenant_id, id));
      create table pages (tenant_id text not null default tenantry.tenant_id(), document bigint not null, text text,
        foreign key (tenant_id, document) references documents (tenant_id, id));`,
  }

  beforeAll(async () => {
    postgres = await freshPostgres()
    await op.applySecret('rows', postgres)
    await op.applyFiles('rows', files)
    await op.applyDatabase({
      name: 'rows',
      spec: { engine: 'PostgreSQL', isolation: 'Row', ...shards('rows'), ...tables('rows') },
    })
    for (const tenant of await Promise.all(['ann', 'bob'].map((name) => makeTenant(op, name, on('rows'))))) {
      shared = place(tenant, 'rows').schema ?? ''
      ids.set(tenant.metadata.name, tenant.status?.tenantId ?? '')
    }
  })

  const as = async (name: string): Promise<Client> => await postgresAs(await op.secret(`${name}-rows`))

  async function write(name: string, title: string): Promise<void> {
    const sql = await as(name)
    const { rows } = await sql.query(`insert into documents (title, country) values ($1, 'DE') returning id`, [title])
    await sql.query('insert into pages (document, text) values ($1, $2)', [rows[0].id, title])
  }

  async function titles(sql: Client, from = 'documents'): Promise<readonly string[]> {
    return (await sql.query<{ title: string }>(`select title from ${from} order by title`)).rows.map((row) => row.title)
  }

  test('show each tenant its own rows alone, and reference tables to everybody', async () => {
    await write('ann', 'of Ann')
    await write('bob', 'of Bob')
    for (const [name, title] of [
      ['ann', 'of Ann'],
      ['bob', 'of Bob'],
    ] as const) {
      const sql = await as(name)
      expect(await titles(sql)).toEqual([title])
      expect((await sql.query('select text from pages')).rows).toEqual([{ text: title }])
      expect((await sql.query('select count(*)::int as n from countries')).rows).toEqual([{ n: 2 }])
    }
  })

  test('take no row in the name of another, and give none away', async () => {
    const sql = await as('ann')
    const bob = ids.get('bob')
    const denied = /row-level security/
    await expect(sql.query(`insert into documents (tenant_id, title) values ($1, 'x')`, [bob])).rejects.toThrow(denied)
    await expect(sql.query('update documents set tenant_id = $1', [bob])).rejects.toThrow(denied)
    expect((await sql.query(`update documents set title = 'x' where tenant_id = $1`, [bob])).rowCount).toBe(0)
    expect((await sql.query('delete from pages where tenant_id = $1', [bob])).rowCount).toBe(0)
    await expect(sql.query('truncate pages')).rejects.toThrow(/permission denied/)
    await expect(sql.query(`insert into countries values ('XX', 'x')`)).rejects.toThrow(/permission denied/)
    expect(await titles(await as('bob'))).toEqual(['of Bob'])
  })

  test('cannot be fooled about who asks', async () => {
    const sql = await as('ann')
    const bob = ids.get('bob') ?? ''
    await sql.query('begin')
    await sql.query(`select set_config('tenantry.tenant', $1, true)`, [bob])
    expect(await titles(sql)).toEqual(['of Ann'])
    await sql.query('commit')
    await sql.query(`select set_config('tenantry.tenant', $1, false)`, [bob])
    expect(await titles(sql)).toEqual(['of Ann'])
    await expect(sql.query('set row_security = off').then(() => titles(sql))).rejects.toThrow(/row-level security/)
    await sql.query('reset row_security')
    for (const [kind, other] of [
      ['set role', `"${shared}_owner"`],
      ['set role', `"${place(await getTenant(op, 'bob'), 'rows').login}"`],
      ['set role', `"${shared}_trusted"`],
      ['set session authorization', `"${place(await getTenant(op, 'bob'), 'rows').login}"`],
    ]) {
      await expect(sql.query(`${kind} ${other}`), `${kind} ${other}`).rejects.toThrow(/permission denied/)
    }
    await expect(sql.query('select * from tenantry.binding')).rejects.toThrow(/permission denied/)
    await expect(sql.query(`update tenantry.binding set tenant_id = $1`, [bob])).rejects.toThrow(/permission denied/)
  })

  const told = (names: RegExp): Partial<Condition> =>
    ({ reason: 'NotIsolated', message: expect.stringMatching(names) }) as Partial<Condition>

  test.each([
    [
      'no longer forced',
      /documents does not force row security/,
      (table: string) => `alter table ${table} no force row level security`,
    ],
    [
      'disabled',
      /documents has row security disabled/,
      (table: string) => `alter table ${table} disable row level security`,
    ],
    ['without the policy', /documents lacks the policy/, (table: string) => `drop policy tenantry_tenant on ${table}`],
    [
      'with a wider policy beside it',
      /documents has a further permissive policy wide/,
      (table: string) => `create policy wide on ${table} using (true)`,
    ],
    [
      'with a wider policy in its place',
      /documents lacks the policy/,
      (table: string) => `alter policy tenantry_tenant on ${table} using (true)`,
    ],
  ])(
    'whose row security is %s by hand make all tenants not ready while it lasts, and are repaired',
    async (_what, names, damage) => {
      const admin = await postgresAs(postgres)
      await annotate(op, DATABASES, 'rows', { paused: 'true' })
      await admin.query(damage(`"${shared}".documents`))
      for (const name of ['ann', 'bob']) {
        await untilCondition(op, TENANTS, name, { condition: { type: 'Isolated', status: 'False', ...told(names) } })
        await untilCondition(op, TENANTS, name, { condition: { type: 'Ready', status: 'False', ...told(names) } })
      }
      await annotate(op, DATABASES, 'rows', { paused: null })
      await untilCondition(op, DATABASES, 'rows', { condition: READY })
      for (const name of ['ann', 'bob']) await untilCondition(op, TENANTS, name, { condition: READY })
      expect(await titles(await as('ann'))).toEqual(['of Ann'])

      await admin.query(damage(`"${shared}".documents`))
      await until('the table to be put right within the interval', async () => {
        expect(await securityOf(admin, `"${shared}".documents`)).toEqual({
          on: true,
          forced: true,
          policies: 1,
          exact: 1,
        })
      })
    },
  )

  test('without a tenant_id make all tenants not ready until they say that everybody may read them', async () => {
    await op.applyFiles('rows', {
      ...files,
      '0003_rates.sql': 'create table rates (percent int); insert into rates values (7);',
    })
    const names = new RegExp(`table ${shared}.rates has no row security: give it a column tenant_id, or the comment`)
    for (const name of ['ann', 'bob']) {
      await untilCondition(op, TENANTS, name, { condition: { type: 'Ready', status: 'False', ...told(names) } })
      await untilCondition(op, TENANTS, name, { condition: { type: 'Isolated', status: 'False', ...told(names) } })
    }
    await expect((await as('ann')).query('select * from rates')).rejects.toThrow(/permission denied/)
    await op.applyFiles('rows', {
      ...files,
      '0003_rates.sql': 'create table rates (percent int); insert into rates values (7);',
      '0004_rates_for_all.sql': `comment on table rates is 'tenantry:reference';`,
    })
    for (const name of ['ann', 'bob']) await untilCondition(op, TENANTS, name, { condition: READY })
    expect((await (await as('ann')).query('select percent from rates')).rows).toEqual([{ percent: 7 }])
  })

  test('lose the rows and the login of a tenant deleted under Delete, and nothing of another', async () => {
    const tenant = await makeTenant(op, 'carl', on('rows'))
    await write('carl', 'of Carl')
    const login = await op.secret('carl-rows')
    await removeTenant(op, 'carl')
    await untilGone(op, 'carl')
    const admin = await postgresAs(postgres)
    expect(await titles(admin, `"${shared}".documents`)).toEqual(['of Ann', 'of Bob'])
    expect(await rolesOf(admin, tenant)).toEqual([])
    await expect(postgresAs(login)).rejects.toThrow()
    const { rows } = await admin.query('select from tenantry.tenant where tenant_id = $1', [tenant.status?.tenantId])
    expect(rows).toEqual([])
    expect(await titles(await as('bob'))).toEqual(['of Bob'])
  })

  test('keep the rows of a tenant deleted under Retain, without its login, and show them to its successor', async () => {
    const tenant = await makeTenant(op, 'dora', on('rows', 'Retain'))
    await write('dora', 'of Dora')
    const login = await op.secret('dora-rows')
    await removeTenant(op, 'dora')
    await untilGone(op, 'dora')
    const admin = await postgresAs(postgres)
    expect(await titles(admin, `"${shared}".documents`)).toEqual(['of Ann', 'of Bob', 'of Dora'])
    expect(await rolesOf(admin, tenant)).toEqual([])
    await expect(postgresAs(login)).rejects.toThrow()

    await makeTenant(op, 'dora', on('rows', 'Delete'))
    expect(await titles(await as('dora'))).toEqual(['of Dora'])
  })

  test('are kept when the Database goes under Retain, and dropped with it under Delete', async () => {
    for (const name of ['ann', 'bob', 'dora']) await removeTenant(op, name)
    await op.kube.remove(DATABASES, { namespace: op.namespace, name: 'rows' })
    await until('the Database to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name: 'rows' })).toBeUndefined()
    })
    const admin = await postgresAs(postgres)
    expect((await admin.query(`select count(*)::int as n from "${shared}".countries`)).rows).toEqual([{ n: 2 }])
    expect(await titles(admin, `"${shared}".documents`)).toEqual([])

    const spec = { engine: 'PostgreSQL', isolation: 'Row', ...shards('rows'), ...tables('rows') } as const
    await op.applyDatabase({ name: 'rows', spec: { ...spec, deletionPolicy: 'Delete' } })
    await untilCondition(op, DATABASES, 'rows', { condition: READY })
    await op.kube.remove(DATABASES, { namespace: op.namespace, name: 'rows' })
    await until('the Database to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name: 'rows' })).toBeUndefined()
    })
    const { rows } = await admin.query(
      `select nspname as name from pg_namespace where nspname in ($1, 'tenantry')
       union all select rolname from pg_roles where starts_with(rolname, $1)`,
      [shared],
    )
    expect(rows).toEqual([])
  })
})

async function rolesOf(admin: Client, tenant: Tenant): Promise<readonly unknown[]> {
  const { login = '' } = place(tenant, 'rows')
  const base = login.replace(/_app_a$/, '')
  return (await admin.query('select rolname from pg_roles where starts_with(rolname, $1)', [base])).rows
}

async function securityOf(admin: Client, table: string): Promise<unknown> {
  const { rows } = await admin.query(
    `select relrowsecurity as on, relforcerowsecurity as forced,
       (select count(*)::int from pg_policy where polrelid = c.oid) as policies,
       (select count(*)::int from pg_policy where polrelid = c.oid and polname = 'tenantry_tenant'
          and pg_get_expr(polqual, polrelid) like '%tenantry.tenant_id()%'
          and pg_get_expr(polwithcheck, polrelid) like '%tenantry.tenant_id()%') as exact
     from pg_class c where oid = $1::regclass`,
    [table],
  )
  return rows[0]
}

describe('shared tables in ClickHouse', () => {
  test('are made once for all tenants, and lose only the rows of a tenant that is deleted', async () => {
    await op.applySecret('facts', useStack().clickhouse)
    await op.applyFiles('facts', {
      '1_events.sql': `CREATE TABLE IF NOT EXISTS events (tenant_id String, at DateTime, kind String)
        ENGINE = MergeTree ORDER BY (tenant_id, at);`,
    })
    await op.applyDatabase({
      name: 'facts',
      spec: { engine: 'ClickHouse', isolation: 'Row', ...shards('facts'), ...tables('facts') },
    })
    const [eve, fay] = await Promise.all(['eve', 'fay'].map((name) => makeTenant(op, name, on('facts'))))
    if (!eve || !fay) throw new Error('two tenants were asked for')
    const { database = '' } = place(eve, 'facts')
    expect(place(fay, 'facts').database).toBe(database)
    expect(place(eve, 'facts').schemaVersion).toBe('1')

    const admin = clickhouseAs(useStack().clickhouse, database)
    const row = ({ status }: Tenant) => ({ tenant_id: status?.tenantId, at: 0, kind: 'click' })
    await admin.insert({ table: 'events', values: [row(eve), row(fay), row(fay)], format: 'JSONEachRow' })
    await removeTenant(op, 'fay')
    await untilGone(op, 'fay')
    const left = await admin.query({ query: 'SELECT DISTINCT tenant_id FROM events', format: 'JSONEachRow' })
    expect(await left.json()).toEqual([{ tenant_id: eve.status?.tenantId }])
    const found = await admin.query({ query: 'SHOW TABLES', format: 'JSONEachRow' })
    expect(await found.json()).toEqual([{ name: 'events' }])
    expect((await getTenant(op, 'eve')).status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'AccessControl', status: 'False', reason: 'Unsupported' }),
    )
  })
})

import { escapeIdentifier, escapeLiteral } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix } from '../../test/support/stack.ts'
import type { Proof } from '../model.ts'
import { postgres } from './engine.ts'
import {
  asTenant,
  byHand,
  freshShard,
  make,
  proofs,
  type Shard,
  signal,
  sqlFile,
  type TenantWish,
} from './testing/lab.ts'

const id = escapeIdentifier

const SHARED = [
  sqlFile(
    '1',
    `CREATE TABLE orders (tenant_id text NOT NULL DEFAULT tenantry.tenant_id(), note text);
     CREATE TABLE typed (tenant_id uuid, note text);
     CREATE VIEW paid AS SELECT * FROM orders WHERE note = 'paid';
     CREATE TABLE countries (code text);
     COMMENT ON TABLE countries IS 'tenantry:reference';
     INSERT INTO countries VALUES ('de');`,
  ),
]

describe('isolation by rows', () => {
  let shard: Shard
  let acme: TenantWish
  let other: TenantWish
  let shared: string
  beforeAll(async () => {
    shard = await freshShard('Row', { files: SHARED })
    acme = shard.tenant('acme')
    other = shard.tenant('other')
    shared = id(acme.input.shared)
    for (const wish of [acme, other]) {
      await make(shard.session, wish)
      await byHand(asTenant(shard.admin, wish), `INSERT INTO orders (note) VALUES ('paid')`)
    }
  })

  test('is proven by the snapshot and by a real login', async () => {
    const { read, probe } = proofs(shard, acme)
    expect(await read()).toEqual({
      verdict: 'isolated',
      evidence:
        'no grant or membership lets anybody else in, over 2 roles and 0 schemas or databases; 2 shared tables have forced row ' +
        "security with only Tenantry's policy",
    })
    expect((await probe()).evidence).toContain('could not choose a tenant and saw no row of another in 3 shared tables')
    expect((await probe()).verdict).toBe('isolated')
  })

  test('shows each tenant its own rows only, even by a view, and takes no row of another', async () => {
    const own = asTenant(shard.admin, acme)
    const mine = [{ tenant_id: acme.input.tenantId }]
    expect(await byHand(own, 'SELECT tenant_id FROM orders')).toEqual(mine)
    expect(await byHand(own, 'SELECT tenant_id FROM paid')).toEqual(mine)
    expect(await byHand(own, 'SELECT code FROM countries')).toEqual([{ code: 'de' }])
    await expect(byHand(own, `INSERT INTO countries VALUES ('xx')`)).rejects.toThrow('permission denied')
    const id2 = escapeLiteral(other.input.tenantId)
    await expect(byHand(own, `INSERT INTO orders VALUES (${id2}, 'x')`)).rejects.toThrow('row-level security')
    await expect(byHand(own, `UPDATE orders SET tenant_id = ${id2}`)).rejects.toThrow('row-level security')
    const chosen = await byHand(own, `SET tenantry.tenant = ${id2}`, 'SELECT tenant_id FROM orders')
    expect(chosen).toEqual(mine)
    for (const table of ['binding', 'migration', 'tenant']) {
      await expect(byHand(own, `SELECT * FROM tenantry.${table}`)).rejects.toThrow('permission denied')
    }
  })

  test('lets a trusted application role switch tenants within a transaction, and shows it nothing otherwise', async () => {
    const app = `app_${freshSuffix()}`
    await byHand(
      shard.admin,
      `CREATE ROLE ${app} LOGIN PASSWORD '${app}' IN ROLE ${id(`${acme.input.shared}_trusted`)}`,
    )
    const connection = { ...shard.admin, username: app, password: app }
    const count = `SELECT count(*)::int AS n FROM ${shared}.orders`
    expect(await byHand(connection, count)).toEqual([{ n: 0 }])
    const choose = `SELECT set_config('tenantry.tenant', ${escapeLiteral(acme.input.tenantId)}, true)`
    expect(await byHand(connection, 'BEGIN', choose, count)).toEqual([{ n: 1 }])
    expect(await byHand(connection, 'BEGIN', choose, 'COMMIT', count)).toEqual([{ n: 0 }])
    await byHand(shard.admin, `DROP ROLE ${app}`)
  })

  test.each<[string, (schema: string) => readonly string[], RegExp, RegExp | undefined]>([
    [
      'row security is off',
      (s) => [`ALTER TABLE ${s}.orders DISABLE ROW LEVEL SECURITY`],
      /has row security disabled/,
      /under no row security in .*read rows of another/,
    ],
    [
      'row security is not forced',
      (s) => [`ALTER TABLE ${s}.orders NO FORCE ROW LEVEL SECURITY`],
      /does not force/,
      undefined,
    ],
    [
      'a policy lets everybody in',
      (s) => [`CREATE POLICY open ON ${s}.orders USING (true)`],
      /a further permissive policy open/,
      /read rows of another tenant/,
    ],
    ['the policy is gone', (s) => [`DROP POLICY tenantry_tenant ON ${s}.orders`], /lacks the policy/, undefined],
    [
      'the policy is another',
      (s) => [`ALTER POLICY tenantry_tenant ON ${s}.orders USING (true)`],
      /lacks the policy/,
      /read rows of another/,
    ],
    [
      'a table has no tenant_id',
      (s) => [`CREATE TABLE ${s}.leak (a int)`],
      /has no row security: give it a column tenant_id/,
      undefined,
    ],
    [
      'a view of the superuser shows all',
      (s) => [
        `CREATE VIEW ${s}.seen AS SELECT * FROM ${s}.orders`,
        `GRANT SELECT ON ${s}.seen TO ${s.replace(/"$/, '_rw"')}`,
      ],
      /belongs to role postgres/,
      /read rows of another tenant in .*seen/,
    ],
    [
      'the login is bound to nobody',
      () => [`DELETE FROM tenantry.binding WHERE login = ${escapeLiteral(acme.login)}`],
      /is not bound to its tenant/,
      /is bound to tenant none/,
    ],
    [
      'the login is bound to another',
      () => [
        `UPDATE tenantry.binding SET tenant_id = ${escapeLiteral(other.input.tenantId)} WHERE login = ${escapeLiteral(acme.login)}`,
      ],
      /is not bound to its tenant/,
      /is bound to tenant t_other_/,
    ],
  ])('is found broken when %s', async (_title, damage, byReading, byLogin) => {
    await byHand(shard.admin, ...damage(shared))
    const { read, probe } = proofs(shard, acme)
    expect(await read()).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(byReading) })
    if (byLogin) expect(await probe()).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(byLogin) })
    await byHand(shard.admin, `DROP VIEW IF EXISTS ${shared}.seen`, `DROP TABLE IF EXISTS ${shared}.leak`)
    await make(shard.session, shard.database)
    await make(shard.session, acme)
    expect(await read()).toMatchObject({ verdict: 'isolated' })
    expect(await probe()).toMatchObject({ verdict: 'isolated' })
  })

  test('is told by the Database too', async () => {
    const { owner, scope } = shard.database
    const read = async (): Promise<Proof> => postgres.isolation(owner, await shard.session.observe(scope, signal))
    expect(await read()).toMatchObject({ verdict: 'isolated' })
    await byHand(shard.admin, `CREATE POLICY open ON ${shared}.orders USING (true)`)
    expect(await read()).toMatchObject({ verdict: 'leaking' })
    await make(shard.session, shard.database)
    expect(await read()).toMatchObject({ verdict: 'isolated' })
  })
})

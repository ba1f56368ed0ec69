import { escapeIdentifier } from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix } from '../../test/support/stack.ts'
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

const STRANGER = `a "stranger" ${freshSuffix()}`

const TABLES = [sqlFile('1', 'CREATE TABLE orders (id int); INSERT INTO orders VALUES (1); CREATE SEQUENCE numbers;')]

describe('isolation by schemas', () => {
  let shard: Shard
  let acme: TenantWish
  let other: TenantWish
  beforeAll(async () => {
    shard = await freshShard('Schema')
    await byHand(shard.admin, `CREATE ROLE ${id(STRANGER)}`)
    acme = shard.tenant('acme', { files: TABLES })
    other = shard.tenant('other', { files: TABLES })
    await make(shard.session, acme)
    await make(shard.session, other)
  })

  test('is proven by the snapshot and by a real login', async () => {
    const { read, probe } = proofs(shard, acme)
    expect(await read()).toEqual({
      verdict: 'isolated',
      evidence: 'no grant or membership lets anybody else in, over 5 roles and 1 schemas or databases',
    })
    expect(await probe()).toEqual({
      verdict: 'isolated',
      evidence:
        "a real login was refused other tenants' tables, was refused other tenants' roles, has no privilege on any schema, " +
        'table or database but its own',
    })
    expect(await byHand(asTenant(shard.admin, acme), 'SELECT id FROM orders')).toEqual([{ id: 1 }])
    const stolen = byHand(asTenant(shard.admin, acme), `SELECT * FROM ${id(other.name)}.orders`)
    await expect(stolen).rejects.toThrow('permission denied for schema')
  })

  test.each<[string, (lab: { victim: string; login: string }) => readonly string[], RegExp]>([
    [
      'usage and a table',
      ({ victim, login }) => [
        `GRANT USAGE ON SCHEMA ${id(victim)} TO ${id(login)}`,
        `GRANT SELECT ON ${id(victim)}.orders TO ${id(login)}`,
      ],
      /read table .*orders of another tenant/,
    ],
    [
      'usage alone',
      ({ victim, login }) => [`GRANT USAGE ON SCHEMA ${id(victim)} TO ${id(login)}`],
      /schemas outside its own: /,
    ],
    ['membership in a group', ({ victim, login }) => [`GRANT ${id(`${victim}_ro`)} TO ${id(login)}`], /read table/],
    [
      'everything to everybody',
      ({ victim }) => [
        `GRANT USAGE ON SCHEMA ${id(victim)} TO PUBLIC`,
        `GRANT SELECT ON ${id(victim)}.orders TO PUBLIC`,
      ],
      /read table/,
    ],
    [
      'one column',
      ({ victim, login }) => [
        `GRANT USAGE ON SCHEMA ${id(victim)} TO ${id(login)}`,
        `GRANT SELECT (id) ON ${id(victim)}.orders TO ${id(login)}`,
      ],
      /tables outside its own: /,
    ],
    ['superuser', ({ login }) => [`ALTER ROLE ${id(login)} SUPERUSER`], /is exempt from all checks/],
  ])('is found broken by a real login after a grant by hand of %s', async (title, grant, evidence) => {
    const victim = shard.tenant(`victim-${title.replaceAll(' ', '-')}`, { files: TABLES })
    const thief = shard.tenant(`thief-${title.replaceAll(' ', '-')}`, { files: TABLES })
    await make(shard.session, victim)
    await make(shard.session, thief)
    // Five other tenants are tried: this one must be among them.
    await make(shard.session, acme, [])
    await make(shard.session, other, [])
    await byHand(shard.admin, ...grant({ victim: victim.name, login: thief.login }))
    const proof = await proofs(shard, thief).probe()
    expect(proof.verdict).toBe('leaking')
    expect(proof.evidence).toMatch(evidence)
    await make(shard.session, victim, [])
    await make(shard.session, thief)
    await make(shard.session, acme)
    await make(shard.session, other)
    expect(await proofs(shard, thief).probe()).toMatchObject({ verdict: 'isolated' })
    await make(shard.session, thief, [])
  })

  test.each<[string, (name: string) => readonly string[], RegExp]>([
    ['the schema is open to all', (name) => [`GRANT USAGE ON SCHEMA ${id(name)} TO PUBLIC`], /is open to PUBLIC/],
    [
      'a table is open to a stranger',
      (name) => [`GRANT SELECT ON ${id(name)}.orders TO ${id(STRANGER)}`],
      /is open to a "stranger"/,
    ],
    [
      'a stranger is in the group',
      (name) => [`GRANT ${id(`${name}_rw`)} TO ${id(STRANGER)}`],
      /role a "stranger" .* is a member of/,
    ],
    ['a login may bypass row security', (name) => [`ALTER ROLE ${id(`${name}_app_a`)} BYPASSRLS`], /has BYPASSRLS/],
    [
      'a login reads all data',
      (name) => [`GRANT pg_read_all_data TO ${id(`${name}_app_a`)}`],
      /is a member of pg_read_all_data/,
    ],
    [
      'the schema belongs to a stranger',
      (name) => [`ALTER SCHEMA ${id(name)} OWNER TO ${id(STRANGER)}`],
      /belongs to role a "stranger"/,
    ],
  ])('is found broken by the snapshot when %s', async (title, damage, evidence) => {
    const wish = shard.tenant(`read-${title.replaceAll(' ', '-')}`, { files: TABLES })
    await make(shard.session, wish)
    await byHand(shard.admin, ...damage(wish.name))
    const proof = await proofs(shard, wish).read()
    expect(proof.verdict).toBe('leaking')
    expect(proof.evidence).toMatch(evidence)
    await make(shard.session, wish)
    expect(await proofs(shard, wish).read()).toMatchObject({ verdict: 'isolated' })
    await make(shard.session, wish, [])
  })

  test('is no verdict when the login cannot log in', async () => {
    const failed = shard.session.probe(
      { owner: acme.owner, name: acme.name, login: acme.login, password: 'wrong' },
      signal,
    )
    await expect(failed).rejects.toMatchObject({ code: 'AuthenticationFailed' })
    await expect(failed).rejects.not.toThrow('wrong')
  })
})

describe('isolation by databases', () => {
  test('is proven by a real login, and found broken when the shard lets it in', async () => {
    const shard = await freshShard('Database')
    const wish = shard.tenant('own', { files: TABLES })
    await make(shard.session, wish)
    const { read, probe } = proofs(shard, wish)
    expect(await read()).toMatchObject({ verdict: 'isolated' })
    expect((await probe()).evidence).toContain("was refused the shard's database")
    expect(await byHand(asTenant(shard.admin, wish), 'SELECT id FROM orders')).toEqual([{ id: 1 }])
    await byHand(shard.admin, `GRANT CONNECT ON DATABASE ${id(shard.admin.database ?? '')} TO PUBLIC`)
    expect(await probe()).toMatchObject({ verdict: 'leaking', evidence: expect.stringContaining('entered database') })
    await byHand(shard.admin, `GRANT CONNECT ON DATABASE ${id(wish.name)} TO PUBLIC`)
    expect(await read()).toMatchObject({ verdict: 'leaking', evidence: expect.stringContaining('is open to PUBLIC') })
    await make(shard.session, shard.database)
    await make(shard.session, wish)
    expect(await probe()).toMatchObject({ verdict: 'isolated' })
    await make(shard.session, wish, [])
  })
})

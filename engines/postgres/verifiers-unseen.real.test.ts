import { expect, test } from 'vitest'
import { fingerprint, newPassword } from '../credential.ts'
import { postgres } from './engine.ts'
import { asTenant, byHand, freshShard, make } from './testing/lab.ts'

test('no statement in the statistics of the server holds a verifier, of a new login or of a new password', async () => {
  const shard = await freshShard('Schema')
  await byHand(shard.admin, 'CREATE EXTENSION pg_stat_statements SCHEMA public')
  const statements = (like: string): Promise<readonly object[]> =>
    byHand(
      shard.admin,
      `SELECT query FROM public.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND query LIKE '${like}'`,
    )
  const first = shard.tenant('first')
  await make(shard.session, first)
  const second = shard.tenant('second')
  await make(shard.session, second)
  const password = newPassword()
  const login = postgres.loginName(second.name, 'ReadWrite')
  const logins = second.input.logins.map((one) =>
    one.login === login ? { ...one, fingerprint: fingerprint(login, password) } : one,
  )
  const changed = { ...second, password, secrets: () => password }
  const plan = await make(shard.session, changed, postgres.tenantResources({ ...second.input, logins }))
  expect(plan.flatMap(({ fields }) => fields.map(({ field }) => field))).toContain('password')
  expect(await byHand(asTenant(shard.admin, changed), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  expect(await statements('%SCRAM-SHA-256$%')).toEqual([])
  expect(await statements('%ALTER ROLE%PASSWORD%')).not.toEqual([])
})

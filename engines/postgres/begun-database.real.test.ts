import { escapeIdentifier } from 'pg'
import { expect, test } from 'vitest'
import { freshPostgres, freshSuffix } from '../../test/support/stack.ts'
import { postgres } from './engine.ts'
import { byHand, databaseWish, make, OPTIONS, planOf, tenantWish } from './testing/lab.ts'

/** A tenant's own database as it is when the process is killed right after CREATE DATABASE: not marked yet. */
async function begun() {
  const admin = await freshPostgres()
  const session = postgres.connect(admin, OPTIONS)
  await make(session, databaseWish('Database'))
  const wish = tenantWish('Database', { namespace: 'lab', name: `begun-${freshSuffix()}` })
  await make(session, wish)
  await byHand(admin, `COMMENT ON DATABASE ${escapeIdentifier(wish.name)} IS NULL`)
  return { admin, session, wish }
}

test("a tenant's own database that was made and not yet marked is gone on with", async () => {
  const { session, wish } = await begun()
  const plan = await planOf(session, wish)
  expect(plan.map(({ op, target, blocked }) => [op, target.kind, blocked])).toEqual([
    ['alter', 'TenantDatabase', undefined],
  ])
  await make(session, wish)
  expect(await planOf(session, wish)).toEqual([])
  await make(session, wish, [])
  await session.close()
})

test("a tenant's own database that was made and not yet marked goes with the tenant", async () => {
  const { admin, session, wish } = await begun()
  await make(session, wish, [])
  expect(await byHand(admin, `SELECT FROM pg_database WHERE datname = '${wish.name}'`)).toEqual([])
  await session.close()
})

test("a database of a tenant's name that belongs to somebody else is still a look-alike", async () => {
  const { admin, session, wish } = await begun()
  await byHand(admin, `ALTER DATABASE ${escapeIdentifier(wish.name)} OWNER TO CURRENT_USER`)
  const [change] = (await planOf(session, wish)).filter(({ target }) => target.kind === 'TenantDatabase')
  expect(change?.blocked).toMatchObject({ code: 'Conflict', adoptable: true })
  await byHand(admin, `DROP DATABASE ${escapeIdentifier(wish.name)}`)
  await make(session, wish, [])
  await session.close()
})

import { expect, onTestFinished, test } from 'vitest'
import { freshPostgres, freshSuffix } from '../../test/support/stack.ts'
import { postgres } from './engine.ts'
import { byHand, databaseWish, OPTIONS, planOf, signal } from './testing/lab.ts'

test('a session that only reads is refused every write by the server, and leaves no fence', async () => {
  const admin = await freshPostgres()
  const session = postgres.connect(admin, { ...OPTIONS, readOnly: true })
  onTestFinished(() => session.close())
  const wish = databaseWish('Schema', { name: `db-${freshSuffix()}` })
  const changes = await planOf(session, wish)
  expect(changes.length).toBeGreaterThan(0)
  const { failed } = await session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
  expect(failed?.error.code).toBe('ServerReadOnly')
  expect(await byHand(admin, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantry%'`)).toEqual([])
})

import { AppError } from '@tenantry/crds/errors.ts'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { freshPostgres } from '../../test/support/stack.ts'
import { connect } from './session.ts'
import { OPTIONS, signal } from './testing/lab.ts'

const TERMINATE = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = $1 and application_name = 'tenantry'`

// pg tells of a lost connection by an event when no statement is under way, and an event nobody hears ends the process.
test('a server that ends connections at any moment costs an error each, never the process', async () => {
  const connection = await freshPostgres()
  const { host, port, username: user, password, database } = connection
  const admin = new Client({ host, port, user, password, database: 'postgres' } as object)
  await admin.connect()
  const session = connect(connection, OPTIONS)
  const errors: unknown[] = []
  let looking = true
  const ending = (async () => {
    while (looking) await admin.query(TERMINATE, [database])
  })()
  for (let i = 0; i < 200; i++) await session.observe('all', signal).catch((error: unknown) => errors.push(error))
  looking = false
  await ending
  await admin.end()
  expect(errors.length).toBeGreaterThan(0)
  expect(errors.filter((error) => !(error instanceof AppError) || error.retry !== 'backoff')).toEqual([])
  await session.observe('all', signal)
  await session.close()
})

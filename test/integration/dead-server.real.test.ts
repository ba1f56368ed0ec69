import { createServer } from 'node:net'
import type { Connection } from '@tenantry/engines/model.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makeTenant, place, postgresAs } from '../support/platform.ts'
import { on, postgresTier, tracesIn } from '../support/tiers.ts'
import { annotate, eventsAbout, removeTenant, untilGone } from '../support/watching.ts'

let op: TestOperator

beforeAll(async () => {
  op = await startTestOperator({ TENANTRY_CONNECT_TIMEOUT_MS: '2000' })
})

describe('a deletion that a dead server holds up', () => {
  test('of a Tenant and then of its Database goes on by itself once the connection Secret is right', async () => {
    const { postgres, change } = await postgresTier(op, 'ailing')
    const tenant = await makeTenant(op, 'patient', on('ailing'))
    await change({ deletionPolicy: 'Delete' })
    const admin = await postgresAs(postgres)
    const unreachable = { type: 'Ready', status: 'False', reason: 'Unreachable' } as const

    await op.applySecret('ailing', await nobody())
    await untilCondition(op, DATABASES, 'ailing', { condition: unreachable })
    await removeTenant(op, 'patient')
    await untilCondition(op, TENANTS, 'patient', { condition: unreachable })
    await op.applySecret('ailing', postgres)
    await untilGone(op, 'patient')
    expect(await tracesIn(admin, place(tenant, 'ailing').schema ?? '')).toEqual([])

    await op.applySecret('ailing', await nobody())
    await untilCondition(op, DATABASES, 'ailing', { condition: unreachable })
    await op.kube.remove(DATABASES, { namespace: op.namespace, name: 'ailing' })
    await untilCondition(op, DATABASES, 'ailing', { condition: unreachable })
    await op.applySecret('ailing', postgres)
    await until('the Database to be gone', async () => {
      expect(await op.kube.get(DATABASES, { namespace: op.namespace, name: 'ailing' })).toBeUndefined()
    })
    expect((await admin.query(`select from pg_namespace where nspname = 'tenantry'`)).rows).toEqual([])
  })

  test('is released by the abandon annotation and an event names what is left there', async () => {
    await postgresTier(op, 'doomed')
    await makeTenant(op, 'stuck', on('doomed'))
    await op.applySecret('doomed', await nobody())
    await untilCondition(op, DATABASES, 'doomed', {
      condition: { type: 'Ready', status: 'False', reason: 'Unreachable' },
    })
    await removeTenant(op, 'stuck')
    await untilCondition(op, TENANTS, 'stuck', {
      condition: { type: 'Ready', status: 'False', reason: 'Unreachable' },
    })
    await annotate(op, TENANTS, 'stuck', { abandon: 'true' })
    await untilGone(op, 'stuck')
    await until('the event', async () => {
      const events = await eventsAbout(op, 'stuck')
      expect(events).toContainEqual(
        expect.objectContaining({ reason: 'Orphaned', type: 'Warning', note: expect.stringContaining('doomed/s0') }),
      )
    })
  })
})

/** A connection to a port that was free a moment ago: nobody listens there. */
async function nobody(): Promise<Partial<Connection>> {
  const server = createServer()
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { host: '127.0.0.1', port: address.port, username: 'u', password: 'p' }
}

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix } from '../../test/support/stack.ts'
import type { Session } from '../model.ts'
import { type ChResource, type ChSnapshot, clickhouse } from './engine.ts'
import { batch, operate, ownDatabase } from './testing/operate.ts'
import { openRelay, type Relay } from './testing/relay.ts'
import { freshTenant, OPTIONS, onRealServer, serverUnderTest } from './testing/server.ts'
import { file } from './testing/subjects.ts'

const signal = AbortSignal.timeout(300_000)
const FILES = [file('1', 'CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a')]
const GREETING = 'currentUser()'
let relay: Relay

beforeAll(async () => {
  relay = await openRelay(serverUnderTest())
})

afterAll(() => relay.close())

async function withSession(
  epoch: number | undefined,
  work: (session: Session<ChResource, ChSnapshot>) => Promise<void>,
): Promise<void> {
  const fencing = epoch === undefined ? {} : { epoch: () => epoch, fence: `test-${freshSuffix()}` }
  const session = clickhouse.connect(relay.connection, { ...OPTIONS, ...fencing })
  await work(session).finally(() => session.close())
}

/** Brings a tenant into being and away again; how many requests each step took. */
async function requestsOfLife(session: Session<ChResource, ChSnapshot>) {
  const tenant = freshTenant()
  const { diff } = operate(session, signal)
  const steps: number[] = []
  for (const wanted of [ownDatabase(tenant, FILES), []]) {
    relay.take()
    const changes = await diff(tenant, wanted)
    steps.push(relay.take().length)
    const { failed } = await session.apply(batch(tenant, changes), signal)
    expect(failed).toBeUndefined()
    steps.push(relay.take().length)
  }
  const [look, create, lookAgain, remove] = steps
  return { look, create, lookAgain, remove }
}

describe('the number of requests', () => {
  // A server that keeps users is asked to make and to show them as well.
  if (!onRealServer) {
    test('of a new tenant with one SQL file is one to look and three to create, and two more of each change for the fence', async () => {
      await withSession(undefined, async (session) => {
        await requestsOfLife(session)
        expect(await requestsOfLife(session)).toEqual({ look: 1, create: 3, lookAgain: 1, remove: 3 })
      })
      await withSession(7, async (session) => {
        await requestsOfLife(session)
        expect(await requestsOfLife(session)).toEqual({ look: 1, create: 5, lookAgain: 1, remove: 5 })
      })
    })
  }

  test('of a drop end with the database, because one that is gone asks for nothing any more', async () => {
    await withSession(7, async (session) => {
      const tenant = freshTenant()
      const { diff } = operate(session, signal)
      await session.apply(batch(tenant, await diff(tenant, ownDatabase(tenant, FILES))), signal)
      const changes = await diff(tenant, [])
      relay.take()
      const { failed } = await session.apply(batch(tenant, changes), signal)
      expect(failed).toBeUndefined()
      const sent = relay.take().map((sql) => sql.trimStart())
      const writes = sent.filter((sql) => /^(DELETE|DROP)/.test(sql))
      expect(writes.map((sql) => sql.split(' ').slice(0, 2).join(' '))).toEqual(['DELETE FROM', 'DROP DATABASE'])
    })
  })

  test('of tenants made side by side is smaller, because they share looks at the fence and rows of the ledger', async () => {
    await withSession(7, async (session) => {
      const { diff } = operate(session, signal)
      await requestsOfLife(session)
      const tenants = Array.from({ length: 16 }, () => freshTenant())
      const plans = await Promise.all(
        tenants.map(async (tenant) => batch(tenant, await diff(tenant, ownDatabase(tenant, FILES)))),
      )
      relay.take()
      const applied = await Promise.all(plans.map((plan) => session.apply(plan, signal)))
      const sent = relay.take()
      expect(applied.filter(({ failed }) => failed)).toEqual([])
      const about = (text: string): number => sent.filter((sql) => sql.trimStart().startsWith(text)).length
      expect([about('CREATE DATABASE'), about('CREATE TABLE')]).toEqual([16, 16])
      expect(about('SELECT fence')).toBeLessThan(2 * 16)
      expect(about('INSERT INTO tenantry.ledger')).toBeLessThanOrEqual(16)
      for (const tenant of tenants) expect(await diff(tenant, ownDatabase(tenant, FILES))).toEqual([])
      const gone = await Promise.all(tenants.map(async (tenant) => batch(tenant, await diff(tenant, []))))
      for (const plan of gone) expect((await session.apply(plan, signal)).failed).toBeUndefined()
    })
  })

  test('to look is the same for one tenant and for thirty', async () => {
    await withSession(undefined, async (session) => {
      const { make } = operate(session, signal)
      const count = async (scope: 'all' | string[]): Promise<number> => {
        relay.take()
        await session.observe(scope, signal)
        return relay.take().length
      }
      const first = freshTenant()
      const tenants = [first, ...Array.from({ length: 29 }, () => freshTenant())]
      await make(first, ownDatabase(first, FILES))
      const one = [await count([first.name]), await count('all')]
      for (const tenant of tenants) await make(tenant, ownDatabase(tenant, FILES))
      expect([await count(tenants.map((t) => t.name)), await count('all')]).toEqual(one)
      expect(one[0]).toBeLessThanOrEqual(10)
      const whole = await session.observe('all', signal)
      for (const t of tenants) expect(clickhouse.diff(t.owner, ownDatabase(t, FILES), whole)).toEqual([])
      for (const tenant of tenants) await make(tenant, [])
    })
  })

  test('is one greeting for all calls within seconds, and another one after an error and for each look at health', async () => {
    await withSession(undefined, async (session) => {
      const greetings = async (work: () => Promise<unknown>): Promise<number> => {
        relay.take()
        await work()
        return relay.take().filter((sql) => sql.includes(GREETING)).length
      }
      const look = () => session.observe([], signal)
      expect(await greetings(look)).toBe(1)
      expect(await greetings(look)).toBe(0)
      expect(await greetings(() => session.health(signal))).toBe(1)
      expect(await greetings(() => session.health(signal))).toBe(1)
      expect(await greetings(look)).toBe(0)
      relay.broken = true
      await expect(look()).rejects.toMatchObject({ code: 'Unreachable' })
      relay.broken = false
      expect(await greetings(look)).toBe(1)
      const tenant = freshTenant()
      const broken = ownDatabase(tenant, [file('1', 'CREATE NONSENSE')])
      const { diff, make } = operate(session, signal)
      const { failed } = await session.apply(batch(tenant, await diff(tenant, broken)), signal)
      expect(failed?.error.code).toBe('MigrationFailed')
      expect(await greetings(look)).toBe(1)
      await make(tenant, [])
    })
  })
})

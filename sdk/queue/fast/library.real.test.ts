import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { freshSuffix } from '../../../test/support/stack.ts'
import { freshRedis } from '../testing/lab.ts'
import { type FastPath, installFastPath, openFastPath } from './fast-path.ts'

interface Ring {
  readonly fast: FastPath
  readonly redis: Redis
  readonly base: string
  claim(most: number, queues?: readonly string[]): Promise<readonly string[]>
  /** Pushes fresh ids for a flow; returns them. */
  push(flow: Flow, count: number): Promise<readonly string[]>
  /** Whose id it was. */
  flowOf(id: string): Flow
}

interface Flow {
  readonly queue: string
  readonly priority: number
  readonly tenant: string
}

async function freshRing(limits: readonly string[] = []): Promise<Ring> {
  const redis = freshRedis()
  await installFastPath(redis)
  const base = `{ring-${freshSuffix()}}`
  const fast = openFastPath(redis, base)
  await fast.call('begin', 'g')
  await fast.call('configure', ...limits)
  await fast.call('finish', 'g')
  const flows = new Map<string, Flow>()
  let next = 10n ** 18n
  return {
    fast,
    redis,
    base,
    async claim(most, queues = []) {
      const hints = await fast.claim('g', most, queues)
      if ('unusable' in hints) throw new Error(hints.unusable)
      return hints.ids
    },
    async push(flow, count) {
      const ids = Array.from({ length: count }, () => String(next++))
      for (const id of ids) flows.set(id, flow)
      await fast.call('push', '', flow.queue, flow.priority, flow.tenant, ids.join(' '))
      return ids
    },
    flowOf: (id) => flows.get(id) ?? { queue: '?', priority: -1, tenant: '?' },
  }
}

/** Claims as many at a time as `sizes` says, and looks at the bound after each. */
async function claimFairly(ring: Ring, weights: readonly number[], sizes: readonly number[]): Promise<void> {
  const served = weights.map(() => 0)
  for (const size of sizes) {
    const got = (await ring.claim(size)).map((id) => Number(ring.flowOf(id).tenant.slice(1)))
    for (const i of served.keys()) served[i] = (served[i] ?? 0) + got.filter((one) => one === i).length
    expectFair(weights, served)
  }
}

/** I5: what two tenants got in relation to their weights differs by no more than one job of each. */
function expectFair(weights: readonly number[], served: readonly number[]): void {
  for (const [i, a] of weights.entries()) {
    for (const [j, b] of weights.entries()) {
      const gap = Math.abs((served[i] ?? 0) / a - (served[j] ?? 0) / b)
      expect(gap).toBeLessThanOrEqual(1 / a + 1 / b + 1e-9)
    }
  }
}

const normal = (tenant: string): Flow => ({ queue: 'default', priority: 1, tenant })

describe('the functions in Redis', () => {
  test('give each id once, in order within a tenant, whatever is pushed twice', async () => {
    const ring = await freshRing()
    const ids = await ring.push(normal('a'), 300)
    await ring.fast.call('push', '', 'default', 1, 'a', ids.join(' '))
    const got = [...(await ring.claim(7)), ...(await ring.claim(1000))]
    expect(got).toEqual(ids)
    expect(await ring.claim(10)).toEqual([])
  })

  test('keep the bound of fair queueing between tenants with work, whatever their weights and the sizes of claims', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0.5, 1, 2, 5), { minLength: 2, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 3, maxLength: 12 }),
        async (weights, sizes) => {
          const ring = await freshRing(weights.flatMap((weight, i) => [`w\0\0t${i}`, `${weight}||||0`]))
          for (const i of weights.keys()) await ring.push(normal(`t${i}`), 400)
          await claimFairly(ring, weights, sizes)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('leave a tenant that comes back no credit for the time it was idle', async () => {
    const ring = await freshRing()
    await ring.push(normal('busy'), 500)
    await ring.claim(200)
    await ring.push(normal('late'), 200)
    const got = (await ring.claim(100)).map((id) => ring.flowOf(id).tenant)
    const late = got.filter((tenant) => tenant === 'late').length
    expect(late).toBeGreaterThanOrEqual(49)
    expect(late).toBeLessThanOrEqual(51)
  })

  test('give low priority its twenty-first part while high waits, and high the first place after a pause', async () => {
    const ring = await freshRing()
    for (const priority of [0, 1, 2]) await ring.push({ queue: 'q', priority, tenant: 't' }, 500)
    const got: number[] = []
    for (let i = 0; i < 30; i++) got.push(...(await ring.claim(7)).map((id) => ring.flowOf(id).priority))
    const count = (priority: number): number => got.filter((one) => one === priority).length
    expect([count(0), count(1), count(2)]).toEqual([160, 40, 10])
    const idle = await freshRing()
    await idle.push({ queue: 'q', priority: 2, tenant: 't' }, 100)
    await idle.claim(50)
    await idle.push({ queue: 'q', priority: 0, tenant: 't' }, 10)
    const [first, second] = (await idle.claim(2)).map((id) => idle.flowOf(id).priority)
    expect([first, second]).toContain(0)
  })

  test('let no more jobs of a tenant or a queue run than allowed, until places are free', async () => {
    const ring = await freshRing(['q\0default', '5|3|0'])
    await ring.push(normal('a'), 10)
    await ring.push(normal('b'), 10)
    const first = (await ring.claim(20)).map((id) => ring.flowOf(id).tenant)
    expect(first).toHaveLength(5)
    expect(first.filter((tenant) => tenant === 'a').length).toBeLessThanOrEqual(3)
    expect(await ring.claim(20)).toEqual([])
    await ring.fast.call('free', 'default', 'a', 2, 'default', '', 2)
    expect((await ring.claim(20)).map((id) => ring.flowOf(id).tenant)).toHaveLength(2)
  })

  test('spend no more tokens than a tenant has, and leave other tenants alone', async () => {
    const ring = await freshRing(['w\0\0slow', '1||0.001|4|0'])
    await ring.push(normal('slow'), 50)
    await ring.push(normal('free'), 50)
    const got = (await ring.claim(100)).map((id) => ring.flowOf(id).tenant)
    expect(got.filter((tenant) => tenant === 'slow')).toHaveLength(4)
    expect(got.filter((tenant) => tenant === 'free')).toHaveLength(50)
  })

  test('serve only the queues that a worker asks for, and none that is paused', async () => {
    const ring = await freshRing(['q\0paused', '||1'])
    for (const queue of ['mail', 'paused', 'report']) await ring.push({ queue, priority: 1, tenant: 't' }, 3)
    expect((await ring.claim(10, ['report', 'none'])).map((id) => ring.flowOf(id).queue)).toEqual([
      'report',
      'report',
      'report',
    ])
    expect(new Set((await ring.claim(10)).map((id) => ring.flowOf(id).queue))).toEqual(new Set(['mail']))
  })

  test('refuse claims of another generation, and of a new one until it is complete', async () => {
    const ring = await freshRing()
    const { fast } = ring
    await ring.push(normal('a'), 1)
    expect(await fast.claim('other', 1, [])).toEqual({ unusable: 'generation' })
    await fast.call('begin', 'h')
    expect(await fast.claim('g', 1, [])).toEqual({ unusable: 'generation' })
    expect(await fast.claim('h', 1, [])).toEqual({ unusable: 'generation' })
    const [id] = await ring.push(normal('b'), 1)
    expect(await fast.call('fill', 'h', 'default', 1, 'a', '1234567890123456789')).toBe(1)
    expect(await fast.call('finish', 'h')).toBe(1)
    const hints = await fast.claim('h', 10, [])
    expect('ids' in hints && new Set(hints.ids)).toEqual(new Set([id, '1234567890123456789']))
  })

  test('do not take a filling for complete that lost its beginning', async () => {
    const { fast, redis, base } = await freshRing()
    await fast.call('begin', 'h')
    await fast.call('fill', 'h', 'default', 1, 'a', '1')
    await redis.del(`${base}:next`)
    expect(await fast.call('fill', 'h', 'default', 1, 'a', '2')).toBe(0)
    expect(await fast.call('finish', 'h')).toBe(0)
    expect(await fast.claim('h', 1, [])).toEqual({ unusable: 'generation' })
  })

  test('keep all keys of a queue on one node of a cluster', async () => {
    const ring = await freshRing(['w\0\0t', '1|5|5|5|0'])
    await ring.push(normal('t'), 20)
    await ring.claim(3)
    const slots = new Set<unknown>()
    for (const key of await ring.redis.keys(`${ring.base.replace('{', '*{')}*`)) slots.add(/\{(.*?)\}/.exec(key)?.[1])
    expect([...slots]).toEqual([ring.base.slice(1, -1)])
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nextDelay } from './backoff.ts'
import { createCoalescer } from './coalesce.ts'
import { firstTick, nextTick } from './cron.ts'
import { QueueError, toQueueError } from './errors.ts'
import { encodeJob, receipts } from './jobs.ts'
import type { Claimed } from './store.ts'
import { createShelf } from './worker/shelf.ts'

describe('delays between tries', () => {
  test('lie between the base and three times the one before, and never above the limit', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000_000),
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (previous, base, random) => {
          const delay = nextDelay(previous, { base, limit: 3_600_000 }, () => random)
          expect(delay).toBeGreaterThanOrEqual(base)
          expect(delay).toBeLessThanOrEqual(Math.min(3_600_000, Math.max(base, previous * 3)))
        },
      ),
    )
  })
})

describe('gathering calls', () => {
  test('does at once what came while earlier work was under way, and answers each with its own', async () => {
    const batches: number[][] = []
    const open: (() => void)[] = []
    const coalescer = createCoalescer<number, number>({
      most: 3,
      inFlight: 1,
      flush: async (items) => {
        batches.push([...items])
        await new Promise<void>((go) => void open.push(go))
        return items.map((item) => item * 10)
      },
    })
    const answers = Promise.all([1, 2].map((item) => coalescer.add(item)))
    await new Promise((turn) => setImmediate(turn))
    const more = Promise.all([3, 4, 5, 6].map((item) => coalescer.add(item)))
    for (let i = 0; i < 3; i++) {
      open.shift()?.()
      await new Promise((turn) => setImmediate(turn))
    }
    expect(batches).toEqual([[1, 2], [3, 4, 5], [6]])
    expect(await answers).toEqual([10, 20])
    expect(await more).toEqual([30, 40, 50, 60])
    await coalescer.drain()
  })

  test('tries each by itself where one of them may have been at fault', async () => {
    const coalescer = createCoalescer<number, number>({
      most: 10,
      inFlight: 2,
      apart: () => true,
      flush: async (items) => {
        if (items.includes(2)) throw new Error('two')
        return items
      },
    })
    const results = await Promise.allSettled([1, 2, 3].map((item) => coalescer.add(item)))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })
})

describe('schedules', () => {
  test('come due in their time zone, over the change of clocks too', () => {
    const next = nextTick('30 2 * * *', 'Europe/Berlin', new Date('2026-03-27T12:00:00Z'))
    expect(next?.toISOString()).toBe('2026-03-28T01:30:00.000Z')
    expect(firstTick('0 0 1 1 *', 'UTC', new Date('2026-01-02T00:00:00Z')).toISOString()).toBe(
      '2027-01-01T00:00:00.000Z',
    )
  })

  test.each(['0 0 31 2 *', 'whenever', '61 * * * *', ''])('%s is refused', (schedule) => {
    expect(() => firstTick(schedule, 'UTC', new Date())).toThrow(QueueError)
  })

  test('a zone that does not exist is refused', () => {
    expect(() => firstTick('* * * * *', 'Mars/Olympus', new Date())).toThrow(/Mars/)
  })
})

describe('jobs as text', () => {
  test('keep what JSON can say, also what looks like an escape that Postgres cannot read', () => {
    const storable = fc
      .jsonValue()
      .filter((value) => !/\\u(0000|d[89a-f])/.test(JSON.stringify(value).replaceAll('\\\\', '')))
    fc.assert(
      fc.property(storable, fc.string({ minLength: 1 }), (payload, name) => {
        expect(JSON.parse(encodeJob({ name, payload }, 1_000_000))).toEqual({
          name,
          payload: JSON.parse(JSON.stringify(payload)),
        })
      }),
    )
    expect(() => encodeJob({ name: 'n', payload: '\\u0000 \\\\ud800' }, 1000)).not.toThrow()
  })

  test('name duplicates by their places', () => {
    expect(receipts('5 6 7', [[2, '1']])).toEqual([
      { id: '5', duplicate: false },
      { id: '1', duplicate: true },
      { id: '7', duplicate: false },
    ])
    expect(receipts('', null)).toEqual([])
  })
})

describe('errors', () => {
  test.each([
    [{ code: 'TQ004', message: 'm' }, 'WorkerExpired'],
    [{ code: '57P01', message: 'm' }, 'Unreachable'],
    [{ code: 'ECONNREFUSED', message: 'm' }, 'Unreachable'],
    [{ code: '42883', message: 'm' }, 'NotInstalled'],
    [{ code: 'XX000', message: 'm' }, 'Failed'],
  ])('%j is %s', (thrown, code) => {
    const error = toQueueError(Object.assign(new Error(thrown.message), thrown), 'do it')
    expect(error).toMatchObject({ code, message: expect.stringMatching(/^do it: m/) })
    expect(toQueueError(error, 'again')).toBe(error)
  })
})

describe('the shelf of claimed jobs', () => {
  const job = (id: string): Claimed => ({ id }) as Claimed

  test('gives them in order, and hands back what was not used for a while', () => {
    let now = 0
    const shelf = createShelf(8, () => now)
    shelf.put(['a', 'b', 'c'].map(job))
    expect(shelf.take()?.id).toBe('a')
    now = 400
    expect(shelf.unused(500)).toEqual([])
    now = 600
    expect(shelf.unused(500).map(({ id }) => id)).toEqual(['b', 'c'])
    expect([shelf.size(), shelf.limit(), shelf.take()]).toEqual([0, 4, undefined])
    shelf.put([job('d')])
    expect(shelf.limit()).toBe(8)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Semaphore } from './semaphore.ts'

describe('Semaphore', () => {
  test('never lets more tasks run than its limit, and runs all of them in order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(3), { maxLength: 20 }), async (limit, turns) => {
        const semaphore = new Semaphore(limit)
        const started: number[] = []
        let running = 0
        await Promise.all(
          turns.map((wait, index) =>
            semaphore.run(async () => {
              started.push(index)
              running++
              expect(running).toBeLessThanOrEqual(limit)
              for (let turn = 0; turn < wait; turn++) await Promise.resolve()
              running--
            }),
          ),
        )
        expect(started).toEqual(turns.map((_, index) => index))
      }),
    )
  })

  test('does not run a task that was given up while it waited, and frees its place', async () => {
    const semaphore = new Semaphore(1)
    const busy = Promise.withResolvers<void>()
    const first = semaphore.run(() => busy.promise)
    const control = new AbortController()
    const second = semaphore.run(async () => expect.unreachable('it was given up'), control.signal)
    control.abort()
    busy.resolve()
    await first
    await expect(second).rejects.toThrow()
    expect(await semaphore.run(async () => 'third')).toBe('third')
  })
})

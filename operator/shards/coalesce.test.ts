import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../clock.ts'
import { FakeClock } from '../queue/fake-clock.ts'
import { Coalescer } from './coalesce.ts'

describe('Coalescer', () => {
  test('joins what is asked for while a call is under way into one more call', async () => {
    const calls: string[][] = []
    const gate = Promise.withResolvers<void>()
    const reads = new Coalescer(async (names) => {
      calls.push([...names])
      if (calls.length === 1) await gate.promise
      return calls.length
    }, systemClock)
    const first = reads.read(['a'])
    await Promise.resolve()
    const others = [reads.read(['b']), reads.read(['c', 'b']), reads.read(['d'])]
    gate.resolve()
    expect(await first).toBe(1)
    expect(await Promise.all(others)).toEqual([2, 2, 2])
    expect(calls).toEqual([['a'], ['b', 'c', 'd']])
  })

  test('answers from a call that began after the question, and goes on after a failure', async () => {
    let fail = true
    const reads = new Coalescer(async (names) => {
      if (fail) throw new Error('down')
      return names.length
    }, systemClock)
    await expect(reads.read(['a'])).rejects.toThrow('down')
    fail = false
    expect(await reads.read(['a', 'b'])).toBe(2)
  })

  test('waits after a call for a crowd as long as that call took, for those who come next', async () => {
    const clock = new FakeClock()
    const calls: number[] = []
    const reads = new Coalescer(async (names) => {
      calls.push(names.length)
      await sleep(clock, 100)
    }, clock)
    const crowd = ['a', 'b', 'c'].map((name) => reads.read([name]))
    await clock.advance(100)
    await Promise.all(crowd)
    const late = [reads.read(['d'])]
    await clock.advance(99)
    expect(calls).toEqual([3])
    late.push(reads.read(['e']))
    await clock.advance(1)
    expect(calls).toEqual([3, 2])
    await clock.advance(100)
    const alone = reads.read(['f'])
    await clock.advance(0)
    expect(calls).toEqual([3, 2, 1])
    await clock.advance(100)
    await Promise.all([...late, alone])
  })

  test('gives everybody at least the names asked for, whatever the timing', async () => {
    const questions = fc.array(fc.record({ names: fc.array(fc.constantFrom('a', 'b', 'c')), afterTurns: fc.nat(3) }))
    await fc.assert(
      fc.asyncProperty(questions, async (list) => {
        const reads = new Coalescer(async (names) => new Set(names), systemClock)
        await Promise.all(
          list.map(async ({ names, afterTurns }) => {
            for (let turn = 0; turn < afterTurns; turn++) await Promise.resolve()
            const answer = await reads.read(names)
            expect(names.every((name) => answer.has(name))).toBe(true)
          }),
        )
      }),
    )
  })
})

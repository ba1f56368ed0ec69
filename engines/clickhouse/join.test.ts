import { expect, test } from 'vitest'
import { join } from './join.ts'

const signal = new AbortController().signal

/** Each call waits until it is let go. */
function held() {
  const calls: { readonly items: readonly string[]; readonly done: PromiseWithResolvers<string> }[] = []
  const ask = join((items: readonly string[]) => {
    const done = Promise.withResolvers<string>()
    calls.push({ items, done })
    return done.promise
  })
  return { calls, ask }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('shares one call among all that ask at once, and the next among all that ask while it is under way', async () => {
  const { calls, ask } = held()
  const first = [ask('a', signal), ask('b', signal)]
  await turn()
  const second = [ask('c', signal), ask('d', signal), ask('c', signal)]
  await turn()
  expect(calls.map(({ items }) => items)).toEqual([['a', 'b']])
  calls[0]?.done.resolve('one')
  expect(await Promise.all(first)).toEqual(['one', 'one'])
  await turn()
  expect(calls.map(({ items }) => items)).toEqual([
    ['a', 'b'],
    ['c', 'd', 'c'],
  ])
  calls[1]?.done.resolve('two')
  expect(await Promise.all(second)).toEqual(['two', 'two', 'two'])
})

test('tells everybody of a failure, and goes on after it', async () => {
  const { calls, ask } = held()
  const failing = Promise.allSettled([ask('a', signal), ask('b', signal)])
  await turn()
  calls[0]?.done.reject(new Error('no'))
  expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  const after = ask('c', signal)
  await turn()
  calls[1]?.done.resolve('yes')
  expect(await after).toBe('yes')
})

test('lets go of whoever cancels at once, and of nobody else', async () => {
  const { calls, ask } = held()
  const cancelled = new AbortController()
  const [impatient, patient] = [ask('a', cancelled.signal), ask('b', signal)]
  await turn()
  cancelled.abort()
  await expect(impatient).rejects.toMatchObject({ code: 'Timeout' })
  await expect(ask('c', AbortSignal.abort())).rejects.toMatchObject({ code: 'Timeout' })
  calls[0]?.done.resolve('done')
  expect(await patient).toBe('done')
})

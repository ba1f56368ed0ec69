import { expect, test } from 'vitest'
import { mapInSlices } from './slices.ts'

test('long work in slices gives everybody a turn in between, and its results in order', async () => {
  let turns = 0
  const ticking = setInterval(() => turns++, 1)
  const items = Array.from({ length: 200 }, (_, i) => i)
  const busy = (item: number): number => {
    const until = performance.now() + 1
    while (performance.now() < until);
    return item * 2
  }
  expect(await mapInSlices(items, busy)).toEqual(items.map((item) => item * 2))
  clearInterval(ticking)
  expect(turns).toBeGreaterThanOrEqual(5)
})

test('short work takes no turn at all', async () => {
  let turned = false
  setImmediate(() => {
    turned = true
  })
  await mapInSlices([1, 2, 3], String)
  expect(turned).toBe(false)
})

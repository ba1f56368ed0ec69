import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { mapInSlices, readInTurns, Slices } from './slices.ts'

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

test('of those that work side by side one has a slice in each round of the event loop', async () => {
  const ran: string[] = []
  const rounds: string[][] = []
  let over = false
  const watch = (): void => {
    rounds.push([...new Set(ran.splice(0))])
    if (!over) setImmediate(watch)
  }
  const work = async (name: string): Promise<void> => {
    const slices = new Slices()
    for (let n = 0; n < 96; n++) {
      const until = performance.now() + 1
      while (performance.now() < until);
      ran.push(name)
      if (slices.isOver) await slices.next()
    }
  }
  setImmediate(watch)
  await Promise.all(['a', 'b', 'c'].map(work))
  over = true
  const [begin = [], ...others] = rounds.filter((names) => names.length > 0)
  expect(begin).toEqual(['a', 'b', 'c'])
  expect(others.length).toBeGreaterThan(3)
  expect(others.map((names) => names.length)).toEqual(others.map(() => 1))
})

test('an answer that comes faster than it is taken apart arrives whole, a little in each round of the event loop', async () => {
  const answer = Buffer.alloc(8 * 1024 * 1024, 'x')
  const server = createServer((socket) => socket.end(answer))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  readInTurns(socket)
  const rounds: number[] = []
  let inRound = 0
  socket.on('data', ({ length }) => {
    inRound += length
    const until = performance.now() + 1
    while (performance.now() < until);
  })
  const watch = (): void => {
    rounds.push(inRound)
    inRound = 0
    if (!socket.closed) setImmediate(watch)
  }
  watch()
  await new Promise((closed) => socket.on('close', closed))
  rounds.push(inRound)
  expect(rounds.reduce((sum, bytes) => sum + bytes)).toBe(answer.length)
  expect(Math.max(...rounds)).toBeLessThanOrEqual(2 * 65_536)
})

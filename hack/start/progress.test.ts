import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createProgress } from './progress.ts'

const textOf = (output: PassThrough): string => (output.read() as Buffer).toString('utf8')

test('without a terminal a step is plain lines: what it does, each thing once, and how it ended', async () => {
  const output = new PassThrough()
  const work = createProgress(output).step('Servers', async (say) => {
    for (const detail of ['one is ready', 'one is ready', 'two is ready']) say(detail)
    return 7
  })
  expect(await work).toBe(7)
  expect(textOf(output)).toMatch(/^Servers …\n {2}one is ready\n {2}two is ready\n✓ Servers: \d+\.\d s\n$/)
})

test('on a terminal a step is one line that gives way to its end', async () => {
  const output = Object.assign(new PassThrough(), { isTTY: true as const, columns: 30 })
  const work = createProgress(output).step('Servers', async () => {
    throw new Error('no')
  })
  await expect(work).rejects.toThrow('no')
  const lines = textOf(output).split('\r\u001b[2K')
  expect(lines.slice(1)).toEqual(['⠋ Servers 0 s', expect.stringMatching(/^✗ Servers \d+\.\d s\n$/)])
})

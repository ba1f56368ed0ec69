import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { cpuGrowth, cpuTimes } from './cpu.ts'

const burn = (ms: number): void => {
  const end = process.cpuUsage().user + ms * 1000
  while (process.cpuUsage().user < end) Math.sqrt(end)
}

test.runIf(process.platform === 'linux')('the processor time of this process is counted', () => {
  const before = cpuTimes()
  burn(100)
  const spent = cpuGrowth(before, cpuTimes(), 2).get('bench') ?? 0
  expect(spent).toBeGreaterThanOrEqual(40)
})

test.runIf(process.platform === 'linux')('programs that ended before are not taken for part of this process', () => {
  const before = cpuTimes()
  spawnSync(process.execPath, ['-e', 'const end = Date.now() + 300; while (Date.now() < end) Math.sqrt(end)'])
  const all = cpuGrowth(before, cpuTimes(), 1)
  expect(all.get('bench') ?? 0).toBeLessThan(200)
})

import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadState } from './state.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tenantry-state-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('ports and secrets are the same at every start, and secret', async () => {
  const first = await loadState(dir)
  expect(new Set(Object.values(first.ports)).size).toBe(6)
  expect(new Set(Object.values(first.secrets)).size).toBe(6)
  expect(await loadState(dir)).toEqual(first)
  expect(statSync(join(dir, 'state.json')).mode & 0o777).toBe(0o600)
})

test('a port that was taken meanwhile is replaced, and no other', async () => {
  const first = await loadState(dir)
  const squatter = createServer().listen(first.ports.redis, '127.0.0.1')
  await once(squatter, 'listening')
  const second = await loadState(dir)
  squatter.close()
  expect(second.ports.redis).not.toBe(first.ports.redis)
  expect({ ...second.ports, redis: 0 }).toEqual({ ...first.ports, redis: 0 })
})

test('a damaged state says what to do', async () => {
  writeFileSync(join(dir, 'state.json'), '{')
  await expect(loadState(dir)).rejects.toThrow('remove the folder')
})

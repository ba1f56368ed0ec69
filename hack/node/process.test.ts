import { execFile } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { startReaper } from '../stack/reaper.ts'
import { createAddresses } from './address.ts'
import { findImage } from './image.ts'
import { startProcess } from './process.ts'

const folder = mkdtempSync(join(tmpdir(), 'tenantry-process-'))
const reaper = startReaper()
afterAll(() => {
  reaper.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('startProcess', () => {
  it('reports the exit code and writes all output to the log', async () => {
    const { ended, output } = start(['-c', 'echo out; echo err >&2; exit 3'])
    expect(await ended).toEqual({ exitCode: 3 })
    expect(output()).toBe('out\nerr\n')
  })

  it('reports a signal as 128 and its number', async () => {
    expect(await start(['-c', 'kill -9 $$']).ended).toEqual({ exitCode: 137 })
  })

  it('says why a program could not be started', async () => {
    const { ended } = start([], '/no/such/program')
    expect(await ended).toEqual({
      exitCode: 128,
      message: 'could not start /no/such/program: spawn /no/such/program ENOENT',
    })
  })

  it('kills at once when there is no grace', async () => {
    const running = start(['-c', 'trap "" TERM; sleep 600'])
    running.stop(0)
    expect(await running.ended).toEqual({ exitCode: 137 })
  })

  it('lets a later stop shorten the grace', async () => {
    const running = start(['-c', 'trap "" TERM; echo up; while true; do sleep 1; done'])
    await expect.poll(running.output, { timeout: 60_000 }).toBe('up\n')
    running.stop(600_000)
    running.stop(10)
    expect(await running.ended).toEqual({ exitCode: 137 })
  })
})

describe('a Pod address', () => {
  const preload = pathToFileURL(join(import.meta.dirname, 'pod-address.mjs')).href

  it.each([
    ['listen()', 'pod'],
    ['listen(0)', 'pod'],
    ["listen('0')", 'pod'],
    ["listen(0, '0.0.0.0')", 'pod'],
    ["listen(0, '::', 5)", 'pod'],
    ['listen({ port: 0 })', 'pod'],
    ["listen({ port: 0, host: '::' }, () => undefined)", 'pod'],
    ["listen(0, '127.0.0.1')", '127.0.0.1'],
    ["listen({ port: 0, host: '127.0.0.1' })", '127.0.0.1'],
    [`listen('${join(folder, 'socket')}')`, join(folder, 'socket')],
  ])('is where %s listens', async (call, expected) => {
    const address = await createAddresses().take()
    const program = `import { createServer } from 'node:net'
      const server = createServer().${call}.once('listening', () => {
        const at = server.address()
        console.log(at.address ?? at)
        server.close()
      })`
    const env = { ...process.env, TENANTRY_POD_IP: address }
    const parameters = ['--import', preload, '--input-type=module', '-e', program]
    const { stdout } = await promisify(execFile)(process.execPath, parameters, { env })
    expect(stdout.trim()).toBe(expected === 'pod' ? address : expected)
  })

  it('is given to one Pod at a time', async () => {
    const addresses = createAddresses()
    const many = await Promise.all(Array.from({ length: 200 }, () => addresses.take()))
    const shared = many.every((address) => address === '127.0.0.1')
    expect(new Set(many).size).toBe(shared ? 1 : 200)
  })
})

describe('findImage', () => {
  const image = { command: ['x'] }
  const images = { 'tenantry/operator': image, 'localhost:5000/app:2': image }

  it.each([
    'tenantry/operator',
    'tenantry/operator:0.1.0',
    'tenantry/operator@sha256:0a1b',
    'tenantry/operator:0.1.0@sha256:0a1b',
    'localhost:5000/app:2',
  ])('knows %s', (name) => {
    expect(findImage(images, name)).toBe(image)
  })

  it.each(['operator', 'localhost:5000/app:3', 'other/tenantry/operator', 'toString', ''])(
    'does not know %j',
    (name) => {
      expect(() => findImage(images, name)).toThrow(`image "${name}" stands for no local command on this node`)
    },
  )
})

function start(args: string[], command = '/bin/sh') {
  const path = join(folder, `${Math.random()}.log`)
  const log = openSync(path, 'a')
  const running = startProcess({ command, args, env: { PATH: process.env.PATH ?? '' }, cwd: folder }, log, reaper)
  closeSync(log)
  return { ...running, output: () => readFileSync(path, 'utf8') }
}

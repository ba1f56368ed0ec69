import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ensureRedis } from './redis.ts'

const NEW = 'echo "Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"'
const OLD = 'echo "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=0"'

let root: string
let lines: string[]
const log = (line: string) => lines.push(line)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tenantry-redis-'))
  mkdirSync(join(root, 'bin'))
  lines = []
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('ensureRedis', () => {
  it('takes the server of TENANTRY_REDIS_SERVER', async () => {
    program('bin/redis-server', OLD)
    const own = program('own', NEW)
    expect(await ensureRedis({ log, env: { ...path(), TENANTRY_REDIS_SERVER: own } })).toBe(own)
  })

  it('refuses a TENANTRY_REDIS_SERVER that is too old or no Redis', async () => {
    program('bin/redis-server', NEW)
    for (const own of [program('own', OLD), '/bin/true', '/nowhere']) {
      const refused = ensureRedis({ log, env: { ...path(), TENANTRY_REDIS_SERVER: own } })
      await expect(refused).rejects.toThrow(`TENANTRY_REDIS_SERVER is ${own}, which is no redis-server 7 or newer`)
    }
  })

  it('takes the server on PATH and says nothing', async () => {
    const present = program('bin/redis-server', NEW)
    expect(await ensureRedis({ log, env: path() })).toBe(present)
    expect(lines).toEqual([])
  })

  it('says what to do when there is neither a server nor a package manager', async () => {
    await expect(ensureRedis({ log, env: path() })).rejects.toThrow(
      "Tenantry's embedded stack needs redis-server 7 or newer, and none is on PATH: " +
        'install one, or set TENANTRY_REDIS_SERVER to its path',
    )
  })

  it('names the server that is too old', async () => {
    const old = program('bin/redis-server', OLD)
    await expect(ensureRedis({ log, env: path() })).rejects.toThrow(`${old} is older (Redis server v=6.0.16`)
  })

  it('installs one with the package manager of the system', async () => {
    manager('apt-get', NEW)
    expect(await ensureRedis({ log, env: path() })).toBe(join(root, 'bin', 'redis-server'))
    expect(readFileSync(join(root, 'calls'), 'utf8')).toBe(
      'update noninteractive\ninstall -y --no-install-recommends redis-server noninteractive\n',
    )
    expect(lines.map((line) => line.replaceAll(/\S*\//g, ''))).toEqual([
      'redis-server: apt-get update',
      'redis-server: apt-get install -y --no-install-recommends redis-server',
    ])
  })

  it('says so when the package manager has only an old one', async () => {
    manager('apt-get', OLD)
    await expect(ensureRedis({ log, env: path() })).rejects.toThrow(
      /apt-get installed no redis-server 7 or newer: .* is older \(Redis server v=6\.0\.16/,
    )
  })

  it('says what the package manager said when it fails', async () => {
    program('bin/apk', 'echo "ERROR: unable to select packages" >&2; exit 1')
    await expect(ensureRedis({ log, env: path() })).rejects.toThrow(
      /apk add --no-cache redis failed: ERROR: unable to select packages\. .*install one, or set TENANTRY_REDIS_SERVER/,
    )
  })
})

/** PATH with nothing of this machine on it, so that its own Redis and package manager stay out of the test. */
function path(): NodeJS.ProcessEnv {
  return { PATH: [join(root, 'bin'), join(root, 'none')].join(delimiter) }
}

function program(name: string, body: string): string {
  const file = join(root, name)
  writeFileSync(file, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
  return file
}

/** A package manager that notes how it was called and installs a server that prints its version; sudo just runs it. */
function manager(name: string, server: string) {
  const target = join(root, 'bin', 'redis-server')
  program('staged', server)
  program('bin/sudo', 'shift\nif [ "$1" = true ]; then exit 0; fi\nexec "$@"')
  program(
    `bin/${name}`,
    `echo "$* $DEBIAN_FRONTEND" >> '${root}/calls'\n[ "$1" = update ] || /bin/cp '${root}/staged' '${target}'`,
  )
}

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { obtain } from './obtain.ts'
import type { Program } from './programs.ts'

const GOOD = '#!/bin/sh\necho "tool v1.2.3"\n'
const SUM = createHash('sha256').update(GOOD).digest('hex')

let root: string
let cache: string
let lines: string[]
const log = (line: string) => lines.push(line)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tenantry-assets-'))
  cache = join(root, 'tenantry', 'kube', 'v1.36.3')
  lines = []
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('obtain', () => {
  it('takes a program of the wanted version from KUBEBUILDER_ASSETS and says nothing', async () => {
    const own = place(join(root, 'own'), GOOD)
    place(cache, GOOD)
    expect(await get({ KUBEBUILDER_ASSETS: join(root, 'own') })).toBe(own)
    expect(lines).toEqual([])
  })

  it('takes it from the cache when KUBEBUILDER_ASSETS has another version, and says why', async () => {
    const other = place(join(root, 'own'), '#!/bin/sh\necho "tool v1.2.2"\n')
    const cached = place(cache, GOOD)
    expect(await get({ KUBEBUILDER_ASSETS: join(root, 'own') })).toBe(cached)
    expect(lines).toEqual([`Not using ${other}: it is v1.2.2 and not v1.2.3`])
  })

  it('downloads a program once and keeps it in the cache', async () => {
    const mirror = await serve({ '/tool': text(GOOD), '/tool.sha256': text(SUM) })
    expect(await get({ MIRROR: mirror.url })).toBe(join(cache, 'tool'))
    expect(lines[0]).toBe(`tool v1.2.3: downloading ${mirror.url}/tool`)
    expect(lines[1]).toMatch(/^tool v1\.2\.3: downloaded in \d+ s$/)
    expect(await get({ MIRROR: mirror.url })).toBe(join(cache, 'tool'))
    expect(mirror.asked).toEqual(['/tool.sha256', '/tool'])
    expect(readdirSync(cache)).toEqual(['tool'])
  })

  it('replaces a cached program that does not run', async () => {
    const mirror = await serve({ '/tool': text(GOOD), '/tool.sha256': text(SUM) })
    const broken = place(cache, '#!/bin/sh\nexit 1\n')
    expect(await get({ MIRROR: mirror.url })).toBe(broken)
    expect(readFileSync(broken, 'utf8')).toBe(GOOD)
    expect(lines[0]).toBe(`Not using ${broken}: it does not run on this machine`)
  })

  it('takes a program out of a release archive', async () => {
    mkdirSync(join(root, 'pack', 'tool-1.2.3'), { recursive: true })
    place(join(root, 'pack', 'tool-1.2.3'), GOOD)
    execFileSync('tar', ['-czf', join(root, 'tool.tar.gz'), '-C', join(root, 'pack'), 'tool-1.2.3'])
    const archive = readFileSync(join(root, 'tool.tar.gz'))
    const sums = `${'0'.repeat(64)}  other.tar.gz\n${createHash('sha256').update(archive).digest('hex')}  tool.tar.gz\n`
    const mirror = await serve({ '/tool.tar.gz': text(archive), '/SUMS': text(sums) })
    const release = () => ({
      origin: mirror.url,
      url: `${mirror.url}/tool.tar.gz`,
      sums: `${mirror.url}/SUMS`,
      member: 'tool-1.2.3/tool',
    })
    const { tool } = await obtain({ tool: { ...PROGRAM, release } }, { log, env: environment({}) })
    expect(readFileSync(tool, 'utf8')).toBe(GOOD)
    expect(readdirSync(cache)).toEqual(['tool'])
  })

  it('downloads through the proxy that the environment names', async () => {
    const mirror = await serve({ '/tool': text(GOOD), '/tool.sha256': text(SUM) })
    const proxy = await serve({ [`${mirror.url}/tool`]: text(GOOD), [`${mirror.url}/tool.sha256`]: text(SUM) })
    const tunnelled: string[] = []
    proxy.server.on('connect', ({ url = '' }, socket: Socket) => {
      tunnelled.push(url)
      const target = connect(Number(url.split(':')[1]), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
      target.pipe(socket).pipe(target)
    })
    expect(await get({ MIRROR: mirror.url, http_proxy: proxy.url })).toBe(join(cache, 'tool'))
    expect(tunnelled.length + proxy.asked.length).toBe(2)
  })

  it('begins again when a transfer breaks off', async () => {
    let asked = 0
    const breakOnce: Route = (response) => {
      asked += 1
      return asked === 1 ? truncated(response) : text(GOOD)(response)
    }
    const mirror = await serve({ '/tool': breakOnce, '/tool.sha256': text(SUM) })
    expect(await get({ MIRROR: mirror.url })).toBe(join(cache, 'tool'))
    expect(lines.filter((line) => line.endsWith(': trying again'))).toHaveLength(1)
  })

  it.each<[string, Record<string, Route>, RegExp]>([
    [
      'the checksum is wrong',
      { '/tool': text('#!/bin/sh\n'), '/tool.sha256': text(SUM) },
      /has the SHA-256 .* and not/,
    ],
    ['there is no such file', { '/tool.sha256': text(SUM) }, /\/tool answered 404/],
    ['there is no checksum', { '/tool': text(GOOD) }, /\/tool\.sha256 answered 404/],
    ['the checksum is of another file', { '/tool.sha256': text(`${SUM}  other`) }, /holds no SHA-256 of tool/],
    ['the transfer keeps breaking off', { '/tool': truncated, '/tool.sha256': text(SUM) }, /\/tool broke off/],
    [
      'the server hangs before it answers',
      { '/tool.sha256': hang },
      /could not be reached: it sent nothing for 0\.3 s/,
    ],
    ['the server hangs in the middle', { '/tool': stall, '/tool.sha256': text(SUM) }, /broke off: it sent nothing for/],
    ['the server is down', { '/tool.sha256': (r) => void r.writeHead(503).end() }, /answered 503/],
  ])('says so and goes on when %s, and leaves nothing behind', async (_case, routes, reason) => {
    const mirror = await serve(routes)
    await expect(get({ MIRROR: mirror.url })).rejects.toThrow(
      /^tool v1\.2\.3 could not be downloaded, and Go is not installed to build it: connect to the internet, install Go/,
    )
    expect(lines.at(-1)).toMatch(reason)
    expect(lines.at(-1)).toMatch(/^tool v1\.2\.3: no download: /)
    expect(readdirSync(cache)).toEqual([])
  })

  it('builds with Go what a silent server does not give, and asks the server once, not once for each program', async () => {
    const folder = goModule(MAIN)
    const port = (await serve({})).close()
    const tool = { ...PROGRAM, go: { folder, package: 'example.dev/tool', stamps: ['main.version=v1.2.3'] } }
    const env = environment({ MIRROR: `http://127.0.0.1:${port}` }, process.env.PATH)
    const both = obtain({ tool, other: { ...tool, name: 'other' } }, { log, env })
    if (!GO) return expect(both).rejects.toThrow('Go is not installed')
    expect(await both).toEqual({ tool: join(cache, 'tool'), other: join(cache, 'other') })
    expect(lines.filter((line) => line.includes('no download'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('building with go1.'))).toHaveLength(2)
    expect(readdirSync(cache).sort()).toEqual(['other', 'tool'])
  })

  it('says what Go said when a build fails, and leaves nothing behind', async () => {
    const folder = goModule('package main\nfunc main() { undefinedThing() }\n')
    const tool = { ...PROGRAM, go: { folder, package: 'example.dev/tool', stamps: [] } }
    const env = environment({ MIRROR: 'http://127.0.0.1:1' }, process.env.PATH)
    const message = GO ? /^go build example\.dev\/tool failed: .*undefined: undefinedThing/ : /Go is not installed/
    await expect(obtain({ tool }, { log, env })).rejects.toThrow(message)
    expect(readdirSync(cache)).toEqual([])
  })

  it('refuses a download that is of another version', async () => {
    const other = '#!/bin/sh\necho "tool v9.9.9"\n'
    const sum = createHash('sha256').update(other).digest('hex')
    const mirror = await serve({ '/tool': text(other), '/tool.sha256': text(sum) })
    await expect(get({ MIRROR: mirror.url })).rejects.toThrow('Go is not installed')
    expect(lines.at(-1)).toBe('tool v1.2.3: no download: tool was obtained, but it is v9.9.9 and not v1.2.3')
    expect(readdirSync(cache)).toEqual([])
  })

  it('lets two set-ups run at once', async () => {
    const mirror = await serve({ '/tool': text(GOOD), '/tool.sha256': text(SUM) })
    const both = await Promise.all([get({ MIRROR: mirror.url }), get({ MIRROR: mirror.url })])
    expect(both).toEqual([join(cache, 'tool'), join(cache, 'tool')])
    expect(readdirSync(cache)).toEqual(['tool'])
  })

  it('sweeps up after a set-up that was killed, and spares one that runs', async () => {
    const old = new Date(Date.now() - 7_200_000)
    const dead = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim()
    for (const name of [`.part-${dead}-a`, `.part-${process.pid}-b`, `.part-${dead}-young`]) {
      mkdirSync(join(cache, name), { recursive: true })
      if (!name.endsWith('young')) utimesSync(join(cache, name), old, old)
    }
    const mirror = await serve({ '/tool': text(GOOD), '/tool.sha256': text(SUM) })
    await get({ MIRROR: mirror.url })
    expect(readdirSync(cache).sort()).toEqual([`.part-${dead}-young`, `.part-${process.pid}-b`, 'tool'].sort())
  })

  it('stops at once when told to, and leaves nothing behind', async () => {
    const mirror = await serve({ '/tool': stall, '/tool.sha256': text(SUM) })
    const stop = new AbortController()
    const options = { log, env: environment({ MIRROR: mirror.url }), signal: stop.signal }
    const obtaining = obtain({ tool: PROGRAM }, options)
    setTimeout(() => stop.abort(new Error('stopped by the user')), 100)
    await expect(obtaining).rejects.toThrow('stopped by the user')
    expect(readdirSync(cache)).toEqual([])
  })
})

const MAIN =
  'package main\nimport "os"\nvar version string\nfunc main() { os.Stdout.WriteString("tool " + version + "\\n") }\n'
const GO = spawnSync('go', ['version']).status === 0

const PROGRAM: Program = {
  name: 'tool',
  version: 'v1.2.3',
  ask: ['--version'],
  go: { folder: 'none', package: 'example.dev/tool', stamps: [] },
  release: ({ MIRROR = '' }) => ({ origin: MIRROR, url: `${MIRROR}/tool`, sums: `${MIRROR}/tool.sha256` }),
}

/** Obtains the program where no Go is on PATH. */
async function get(env: NodeJS.ProcessEnv): Promise<string> {
  const { tool } = await obtain({ tool: PROGRAM }, { log, env: environment(env), stallMs: 300 })
  return tool
}

function environment(env: NodeJS.ProcessEnv, path = ''): NodeJS.ProcessEnv {
  return { HOME: homedir(), GOCACHE: join(homedir(), '.cache', 'go-build'), XDG_CACHE_HOME: root, PATH: path, ...env }
}

function place(folder: string, content: string): string {
  const path = join(folder, 'tool')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path, content, { mode: 0o755 })
  return path
}

function goModule(main: string): string {
  const folder = join(root, 'module')
  mkdirSync(folder)
  writeFileSync(join(folder, 'go.mod'), 'module example.dev/tool\n\ngo 1.21\n')
  writeFileSync(join(folder, 'main.go'), main)
  return folder
}

type Route = (response: ServerResponse) => void

function text(content: string | Buffer): Route {
  return (response) => void response.end(content)
}

const hang: Route = () => undefined

const stall: Route = (response) => {
  response.writeHead(200, { 'content-length': GOOD.length })
  response.write(GOOD.slice(0, 5))
}

const truncated: Route = (response) => {
  stall(response)
  setTimeout(() => response.destroy(), 20)
}

async function serve(routes: Record<string, Route>) {
  const asked: string[] = []
  const answer: RequestListener = ({ url = '' }, response) => {
    asked.push(url)
    const route = routes[url] ?? ((missing) => void missing.writeHead(404).end())
    route(response)
  }
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.closeAllConnections()
    server.close()
    return port
  }
  onTestFinished(() => void close())
  return { url: `http://127.0.0.1:${port}`, asked, close, server }
}

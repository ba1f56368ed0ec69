import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'tenantry-bootstrap-')))
const bootstrap = join(root, 'hack', 'bootstrap.mjs')

/** A project whose package "node" is a workspace that hands over to this Node, so that npm needs no registry. */
beforeAll(async () => {
  mkdirSync(join(root, 'hack'))
  mkdirSync(join(root, 'node'))
  copyFileSync(join(import.meta.dirname, 'bootstrap.mjs'), bootstrap)
  writeJson('package.json', { name: 'fixture', private: true, workspaces: ['node'] })
  writeJson('node/package.json', { name: 'node', version: '1.0.0', bin: { node: 'run' } })
  writeFileSync(join(root, 'node', 'run'), `#!/bin/sh\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 })
  await promisify(execFile)('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund'], { cwd: root })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('bootstrap', () => {
  it('installs the packages once, then runs the script with its arguments and says nothing', async () => {
    script('args.ts', 'const args: string[] = process.argv.slice(2); console.log(JSON.stringify(args))')
    const first = await start(['args.ts', '--once', 'two words'])
    expect(first.stdout).toBe('["--once","two words"]\n')
    expect(first.stderr).toMatch(/^Installing packages with npm …\n.*Installed packages in \d+ s\n$/s)
    const second = await start(['args.ts', 'again'])
    expect(second).toEqual({ code: 0, signal: null, stdout: '["again"]\n', stderr: '' })
  })

  it('installs again when the lock file wants something else', async () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    writeJson('node/package.json', { name: 'node', version: '1.0.1', bin: { node: 'run' } })
    lock.packages.node.version = '1.0.1'
    writeJson('package-lock.json', lock)
    expect((await start(['args.ts'])).stderr).toContain('Installing packages')
    expect((await start(['args.ts'])).stderr).toBe('')
  })

  it('installs again after an installation that was interrupted', async () => {
    rmSync(join(root, 'node_modules', '.package-lock.json'))
    expect((await start(['args.ts'])).stderr).toContain('Installing packages')
    expect((await start(['args.ts'])).stderr).toBe('')
  })

  it('says what to do when npm refuses, and installs when the cause is gone', async () => {
    rmSync(join(root, 'node_modules'), { recursive: true })
    writeJson('package.json', { name: 'fixture', workspaces: ['node'], dependencies: { absent: 'file:absent.tgz' } })
    const refused = await start(['args.ts'])
    writeJson('package.json', { name: 'fixture', workspaces: ['node'] })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('Packages could not be installed: see what npm said above')
    expect((await start(['args.ts'])).code).toBe(0)
  })

  it('leaves the lock file as it is', async () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
    rmSync(join(root, 'node_modules'), { recursive: true })
    expect((await start(['args.ts'])).code).toBe(0)
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).toBe(lock)
  })

  it('ends with the exit code of the script', async () => {
    script('seven.ts', 'process.exitCode = 7')
    expect(await start(['seven.ts'])).toMatchObject({ code: 7, signal: null })
  })

  it('ends by the signal that ended the script', async () => {
    script('killed.ts', "process.kill(process.pid, 'SIGKILL')")
    expect(await start(['killed.ts'])).toMatchObject({ code: null, signal: 'SIGKILL' })
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('hands %s on once, and waits for the script to stop', async (signal) => {
    script(
      'stop.ts',
      `let seen = 0
      process.on('${signal}', () => { seen += 1; setTimeout(() => { console.log('seen', seen); process.exit(3) }, 300) })
      setInterval(() => {}, 1000)
      console.log('up')`,
    )
    const running = launch(['stop.ts'])
    await once(running.child.stdout, 'data')
    running.child.kill(signal)
    running.child.kill(signal)
    expect(await running.ended).toMatchObject({ code: 3, stdout: 'up\nseen 1\n' })
  })

  it.each([
    ['version', "'versions', { value: { node: '18.20.1' } }", 'needs Node 20 or newer, and this is Node 18.20.1'],
    ['system', "'platform', { value: 'win32' }", 'not on win32 '],
    ['processor', "'arch', { value: 's390x' }", ' s390x: use such a machine'],
  ])('refuses a %s it cannot run on, in one line', async (_what, definition, message) => {
    const preload = `data:text/javascript,Object.defineProperty(process, ${encodeURIComponent(definition)})`
    const refused = await start(['args.ts'], ['--import', preload])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain(message)
    expect(refused.stderr.trim().split('\n')).toHaveLength(1)
  })
})

function launch(args: string[], nodeOptions: string[] = []) {
  const child = spawn(process.execPath, [...nodeOptions, bootstrap, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    output.stdout += data
  })
  child.stderr.on('data', (data) => {
    output.stderr += data
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...output }))
  return { child, ended }
}

function start(args: string[], nodeOptions: string[] = []) {
  return launch(args, nodeOptions).ended
}

function script(name: string, text: string) {
  writeFileSync(join(root, name), text)
}

function writeJson(name: string, value: unknown) {
  writeFileSync(join(root, name), JSON.stringify(value))
}

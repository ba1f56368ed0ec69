/**
 * Starts a script of this repository with nothing installed but Node and npm: `node hack/bootstrap.mjs <script.ts> [args]`.
 * Installs the packages when they are missing or are not those of package-lock.json, then runs the script with the
 * Node 24 among them. Plain JavaScript, because the Node that runs it may be too old for TypeScript.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const node = join(modules, '.bin', 'node')

const problem = unsupported()
if (problem !== undefined) fail(problem)
const [script, ...args] = process.argv.slice(2)
if (script === undefined) fail('Usage: node hack/bootstrap.mjs <script.ts> [args]')
if (!installed()) await install()
endLike(await run(node, [resolve(root, script), ...args], process.env))

function unsupported() {
  if (Number.parseInt(process.versions.node, 10) < 20) {
    return `Tenantry needs Node 20 or newer, and this is Node ${process.versions.node}: install a newer one from https://nodejs.org`
  }
  const known = ['linux', 'darwin'].includes(process.platform) && ['x64', 'arm64'].includes(process.arch)
  if (known) return undefined
  return `Tenantry runs on Linux and macOS, on x64 and arm64, not on ${process.platform} ${process.arch}: use such a machine, a container or WSL 2`
}

/** npm writes the list of what it installed as its last act, so an interrupted installation does not pass for a whole one. */
function installed() {
  const list = join(modules, '.package-lock.json')
  if (!existsSync(node) || !existsSync(list)) return false
  const have = readPackages(list)
  const wanted = Object.entries(readPackages(join(root, 'package-lock.json'))).filter(([path]) => path !== '')
  return wanted.every(([path, { version, integrity, optional }]) => {
    const found = have[path]
    if (found === undefined) return optional === true
    return found.version === version && found.integrity === integrity
  })
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

/**
 * `npm install --no-save` and not `npm ci`: it keeps to the lock file just as well, leaves what is right in place, and
 * copes with a lock file written against a registry that lacked some other platform's optional package.
 */
async function install() {
  const started = Date.now()
  const seconds = () => Math.round((Date.now() - started) / 1000)
  console.error('Installing packages with npm …')
  const ticker = setInterval(() => console.error(`Installing packages: ${seconds()} s …`), 15_000)
  const parameters = ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']
  const ended = await run('npm', parameters, outsideEnvironment(), [1])
  clearInterval(ticker)
  if (ended.signal !== null) endLike(ended)
  if (ended.code !== 0) fail('Packages could not be installed: see what npm said above, then run this again')
  console.error(`Installed packages in ${seconds()} s`)
}

/** npm must not run with the Node it may replace, the one inside node_modules, which it puts first on the PATH of scripts. */
function outsideEnvironment() {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !resolve(folder).startsWith(modules))
  return { ...process.env, PATH: path.join(delimiter) }
}

/**
 * Runs a program in the foreground and resolves to how it ended. A terminal's Ctrl-C reaches the program by itself;
 * every other SIGINT, SIGTERM or SIGHUP is handed on, each once.
 */
function run(command, parameters, env, quiet = []) {
  const stdio = [0, 1, 2].map((stream) => (quiet.includes(stream) ? 'ignore' : 'inherit'))
  const child = spawn(command, parameters, { cwd: root, env, stdio })
  const passed = new Set()
  const forward = (signal) => {
    if (passed.has(signal) || (signal === 'SIGINT' && process.stdin.isTTY)) return
    passed.add(signal)
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, forward)
  return new Promise((end) => {
    child.once('error', (error) => fail(`Could not run ${command}: ${error.message}`))
    child.once('exit', (code, signal) => {
      for (const each of signals) process.off(each, forward)
      end({ code, signal })
    })
  })
}

function endLike({ code, signal }) {
  if (signal !== null) process.kill(process.pid, signal)
  process.exitCode = code ?? 1
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

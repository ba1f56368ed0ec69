import { resolve } from 'node:path'
import type { Program } from './programs.ts'
import { elapsed, type Log, startProgress } from './progress.ts'
import { firstLine, run } from './run.ts'

/** `go version` as "go1.26.8", or undefined when Go is not installed. */
export async function goVersion(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return (await firstLine('go', ['version'], env))?.split(' ')[2]
}

interface BuildOptions {
  readonly log: Log
  readonly env: NodeJS.ProcessEnv
  readonly signal?: AbortSignal | undefined
}

/**
 * Builds a program at `path` from its go.mod and go.sum beside this file, fetching modules as `go env GOPROXY` says.
 * Go keeps what it compiled, so a build that was interrupted goes on where it was. Rejects with the compiler's last words.
 */
export async function goBuild(program: Program, path: string, options: BuildOptions): Promise<void> {
  const { log, signal } = options
  const started = performance.now()
  let compiled = 0
  let last = 'resolving modules'
  const onLine = (line: string) => {
    if (!line.startsWith('go: ')) compiled += 1
    last = line.replace(/^go: /, '')
  }
  const state = () => `${program.name}: ${elapsed(started)}, ${compiled} packages compiled, ${last}`
  using _ = startProgress(state, log)
  const flags = ['-s', '-w', ...program.go.stamps.flatMap((stamp) => ['-X', stamp])].join(' ')
  const cwd = resolve(import.meta.dirname, 'go', program.go.folder)
  const parameters = ['build', '-v', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', flags, '-o', path]
  const ended = await run('go', [...parameters, program.go.package], {
    cwd,
    env: buildEnvironment(options.env),
    onLine,
    signal,
  })
  if (ended.code !== 0) {
    throw new Error(`go build ${program.go.package} failed: ${ended.output.slice(-5).join(' | ')}`)
  }
}

/** The user's own, less what would build for another machine or another set of modules. */
function buildEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GOOS: _os, GOARCH: _arch, ...rest } = env
  return { ...rest, CGO_ENABLED: '0', GOWORK: 'off' }
}

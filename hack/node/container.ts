import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Reaper } from '../stack/reaper.ts'
import { ImageError } from './image.ts'
import type { Launch } from './launch.ts'
import { act, type HandlerContext, watchProbe } from './probe.ts'
import { type LocalProcess, type ProcessEnd, startProcess } from './process.ts'
import type { Container, ContainerState, ContainerStatus, Probe, RestartPolicy } from './types.ts'

export interface ContainerOptions {
  readonly container: Container
  readonly policy: RestartPolicy
  /** Of the Pod. */
  readonly address: () => string
  readonly graceSeconds: number
  /** The folder of this container's logs: `<restartCount>.log`. */
  readonly logs: string
  readonly restartCount: number
  /** Resolves what to start, anew for each start. Throws ImageError, ConfigError or an error of the API. */
  readonly prepare: () => Promise<Launch>
  readonly reaper: Reaper
  readonly onChange: () => void
}

const RETRY_MS = 2_000
const LONGEST_BACKOFF_MS = 60_000
const CALM_MS = 600_000

/** Runs one container: starts it, restarts it as its policy says, probes it and stops it. */
export class ContainerRunner {
  readonly #options: ContainerOptions
  readonly #stopping = new AbortController()
  #process: LocalProcess | undefined
  #context: HandlerContext | undefined
  #id: string | undefined
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } }
  #lastState: ContainerState = {}
  #ready = false
  #started = false
  #restarts: number
  #failures = 0

  constructor(options: ContainerOptions) {
    this.#options = options
    this.#restarts = options.restartCount
  }

  /** The exit code of the last end; undefined while it never ended. */
  get exitCode(): number | undefined {
    return this.#state.terminated?.exitCode
  }

  status(): ContainerStatus {
    const { name, image = '' } = this.#options.container
    return {
      name,
      image,
      imageID: `process://${image}`,
      ...(this.#id !== undefined && { containerID: this.#id }),
      ready: this.#ready,
      started: this.#started,
      restartCount: this.#restarts,
      state: this.#state,
      lastState: this.#lastState,
    }
  }

  /** Resolves when the container has ended for good: by its restart policy or because it was stopped. */
  async run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const launch = await this.#prepare()
      if (launch === undefined) return
      const began = performance.now()
      const { exitCode } = await this.#runOnce(launch)
      if (!this.#restartsAfter(exitCode)) return
      await this.#backOff(performance.now() - began)
      this.#restarts += 1
    }
  }

  /** Stops it: the preStop hook, SIGTERM, and SIGKILL when the grace is over. Can be called again with less grace. */
  async stop(graceSeconds: number): Promise<void> {
    const first = !this.#stopping.signal.aborted
    this.#stopping.abort()
    const running = this.#process
    if (running === undefined) return
    const hook = this.#options.container.lifecycle?.preStop
    const deadline = performance.now() + graceSeconds * 1000
    if (first && hook && this.#context && graceSeconds > 0) {
      const acting = act(hook, this.#context, graceSeconds)
      await Promise.race([acting, running.ended, sleep(graceSeconds * 1000, undefined, { ref: false })])
    }
    running.stop(Math.max(0, deadline - performance.now()))
    await running.ended
  }

  /** Tries until it can start; undefined when stopped before. */
  async #prepare(): Promise<Launch | undefined> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const launch = await this.#options.prepare().catch((error: unknown) => this.#refuse(error))
      if (launch) return signal.aborted ? undefined : launch
      await this.#pause(RETRY_MS)
    }
    return undefined
  }

  #refuse(error: unknown): undefined {
    const reason = error instanceof ImageError ? 'ErrImagePull' : 'CreateContainerConfigError'
    this.#become({ waiting: { reason, message: error instanceof Error ? error.message : String(error) } })
  }

  async #runOnce(launch: Launch): Promise<ProcessEnd> {
    const { container, address, logs, reaper } = this.#options
    mkdirSync(logs, { recursive: true, mode: 0o700 })
    const log = openSync(join(logs, `${this.#restarts}.log`), 'a', 0o600)
    const running = startProcess(launch, log, reaper)
    closeSync(log)
    const startedAt = timestamp()
    this.#process = running
    this.#id = `process://${randomUUID()}`
    this.#context = { container, address: address(), env: launch.env, cwd: launch.cwd }
    this.#become({ running: { startedAt } })
    const probes = new AbortController()
    void this.#probe(this.#context, probes.signal)
    const end = await running.ended
    probes.abort()
    this.#onEnd(end, startedAt)
    return end
  }

  #onEnd({ exitCode, message }: ProcessEnd, startedAt: string): void {
    this.#process = undefined
    this.#ready = false
    this.#started = false
    const code = exitCode === 0 ? 'Completed' : 'Error'
    const reason = message === undefined ? code : 'StartError'
    const ended = { exitCode, reason, ...(message !== undefined && { message }) }
    this.#become({ terminated: { ...ended, startedAt, finishedAt: timestamp(), containerID: this.#id ?? '' } })
  }

  async #probe(context: HandlerContext, signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = context.container
    if (startupProbe) await this.#untilStarted(startupProbe, context, signal)
    if (signal.aborted) return
    this.#started = true
    this.#ready = readinessProbe === undefined
    this.#options.onChange()
    if (readinessProbe) {
      const onVerdict = (healthy: boolean): void => {
        this.#ready = healthy
        this.#options.onChange()
      }
      void watchProbe(readinessProbe, context, { onVerdict, eager: true, signal })
    }
    if (livenessProbe) {
      const onVerdict = (healthy: boolean): void => this.#killUnless(healthy)
      void watchProbe(livenessProbe, context, { onVerdict, eager: false, signal })
    }
  }

  #untilStarted(probe: Probe, context: HandlerContext, signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    const onVerdict = (healthy: boolean): void => {
      this.#killUnless(healthy)
      done.abort()
    }
    return watchProbe(probe, context, { onVerdict, eager: false, signal: AbortSignal.any([signal, done.signal]) })
  }

  #killUnless(healthy: boolean): void {
    if (!healthy) this.#process?.stop(this.#options.graceSeconds * 1000)
  }

  #restartsAfter(exitCode: number): boolean {
    const { policy } = this.#options
    if (this.#stopping.signal.aborted || policy === 'Never') return false
    return policy === 'Always' || exitCode !== 0
  }

  /** None the first time, then a second doubling to a minute; from the start again after ten calm minutes. */
  async #backOff(ranMs: number): Promise<void> {
    if (ranMs > CALM_MS) this.#failures = 0
    const waitMs = this.#failures === 0 ? 0 : Math.min(LONGEST_BACKOFF_MS, 1000 * 2 ** (this.#failures - 1))
    this.#failures += 1
    this.#lastState = this.#state
    if (waitMs === 0) return
    const message = `back-off ${waitMs / 1000}s restarting container ${this.#options.container.name}`
    this.#become({ waiting: { reason: 'CrashLoopBackOff', message } })
    await this.#pause(waitMs)
    if (this.#stopping.signal.aborted) this.#become(this.#lastState)
  }

  #become(state: ContainerState): void {
    this.#state = state
    this.#options.onChange()
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }
}

/** The API server keeps whole seconds. */
function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}

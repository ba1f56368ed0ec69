import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { statusOf } from '../../operator/kube/errors.ts'
import type { Reaper } from '../stack/reaper.ts'
import type { Addresses } from './address.ts'
import type { NodeApi } from './api.ts'
import { ContainerRunner } from './container.ts'
import type { Images } from './image.ts'
import { type Launch, type Place, prepareLaunch, prepareVolumes } from './launch.ts'
import { podStatus } from './status.ts'
import { ConfigError, type Container, type ContainerStatus, PODS, type Pod, type RestartPolicy } from './types.ts'
import { createWriter, type Writer } from './writer.ts'

/** What Pods share. `dir` holds `pods/<uid>` and `logs/<namespace>_<name>_<uid>/<container>/<restart>.log`. */
export interface PodHost {
  readonly api: NodeApi
  readonly addresses: Addresses
  readonly images: Images
  readonly reaper: Reaper
  readonly dir: string
  readonly log: (line: string) => void
}

/** Runs one Pod from the moment it is bound to the node until its object is gone. */
export class PodRunner {
  readonly #host: PodHost
  readonly #folder: string
  readonly #init: readonly ContainerRunner[]
  readonly #main: readonly ContainerRunner[]
  readonly #writer: Writer
  #pod: Pod
  #address = ''
  #volumes: Promise<void> | undefined
  #written: unknown
  #ending = false
  #graceSeconds = Number.POSITIVE_INFINITY
  #abandoned = false
  #run: Promise<void> = Promise.resolve()
  #end: Promise<void> | undefined

  constructor(pod: Pod, host: PodHost) {
    this.#pod = pod
    this.#host = host
    this.#folder = join(host.dir, 'pods', pod.metadata.uid ?? '')
    const { initContainers = [], containers, restartPolicy = 'Always' } = pod.spec
    const initPolicy = restartPolicy === 'Never' ? 'Never' : 'OnFailure'
    this.#init = initContainers.map((each) => this.#runner(each, initPolicy, pod.status?.initContainerStatuses))
    this.#main = containers.map((each) => this.#runner(each, restartPolicy, pod.status?.containerStatuses))
    this.#writer = createWriter(
      () => this.#write(),
      (error) => host.log(`${this.#name}: ${error instanceof Error ? error.message : String(error)}`),
    )
  }

  get #name(): string {
    return `${this.#pod.metadata.namespace}/${this.#pod.metadata.name}`
  }

  /** Starts the containers, unless the Pod had run to its end before this node began. */
  start(): void {
    const { phase } = this.#pod.status ?? {}
    if (phase === 'Succeeded' || phase === 'Failed' || this.#pod.metadata.deletionTimestamp) return
    this.#run = this.#runAll().catch((error) => this.#host.log(`${this.#name}: ${error.message}`))
  }

  /** Takes the newest object; one that is being deleted is stopped, and its object taken away. */
  update(pod: Pod): void {
    this.#pod = pod
    if (pod.metadata.deletionTimestamp === undefined) return
    const grace = pod.metadata.deletionGracePeriodSeconds ?? 30
    if (grace >= this.#graceSeconds) return
    this.#graceSeconds = grace
    if (this.#end === undefined) this.#end = this.#stopAndDelete(grace)
    else for (const runner of this.#all()) void runner.stop(grace)
  }

  /** Stops the processes and leaves the object as it is: the node stops, or the object is gone already. */
  async abandon(mostSeconds: number): Promise<void> {
    this.#abandoned = true
    await this.#stop(Math.min(mostSeconds, this.#pod.spec.terminationGracePeriodSeconds ?? mostSeconds))
  }

  #all(): readonly ContainerRunner[] {
    return [...this.#init, ...this.#main]
  }

  #runner(container: Container, policy: RestartPolicy, before: readonly ContainerStatus[] = []): ContainerRunner {
    const { namespace, name, uid } = this.#pod.metadata
    const previous = before.find((status) => status.name === container.name)
    return new ContainerRunner({
      container,
      policy,
      address: () => this.#address,
      graceSeconds: this.#pod.spec.terminationGracePeriodSeconds ?? 30,
      logs: join(this.#host.dir, 'logs', `${namespace}_${name}_${uid}`, container.name),
      restartCount: previous?.containerID === undefined ? 0 : previous.restartCount + 1,
      prepare: () => this.#prepare(container),
      reaper: this.#host.reaper,
      onChange: () => this.#writer.request(),
    })
  }

  async #prepare(container: Container): Promise<Launch> {
    if (container.restartPolicy === 'Always') throw new ConfigError('this node runs no sidecars among init containers')
    const { images, api } = this.#host
    const place: Place = { pod: this.#pod, address: this.#address, folder: this.#folder, images, api }
    this.#volumes ??= prepareVolumes(place).catch((error) => {
      this.#volumes = undefined
      throw error
    })
    await this.#volumes
    return prepareLaunch(container, place)
  }

  async #runAll(): Promise<void> {
    this.#address = await this.#host.addresses.take()
    this.#writer.request()
    for (const runner of this.#init) {
      await runner.run()
      if (runner.exitCode !== 0 || this.#ending) return
    }
    await Promise.all(this.#main.map((runner) => runner.run()))
  }

  async #stop(graceSeconds: number): Promise<void> {
    this.#ending = true
    await Promise.all(this.#all().map((runner) => runner.stop(graceSeconds)))
    await this.#run
    await this.#writer.settled()
    this.#host.addresses.giveBack(this.#address)
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #stopAndDelete(graceSeconds: number): Promise<void> {
    await this.#stop(graceSeconds)
    const remove = createWriter(
      async () => {
        if (!this.#abandoned) await this.#host.api.deleteNow(this.#pod)
      },
      (error) => this.#host.log(`${this.#name}: ${error instanceof Error ? error.message : String(error)}`),
    )
    remove.request()
    await remove.settled()
  }

  async #write(): Promise<void> {
    if (this.#abandoned || this.#address === '') return
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
    const [init, main] = [this.#init, this.#main].map((runners) => runners.map((runner) => runner.status()))
    const facts = {
      pod: this.#pod,
      address: this.#address,
      init: init ?? [],
      main: main ?? [],
      ending: this.#ending,
      now,
    }
    const status = podStatus(facts)
    if (isDeepStrictEqual(status, this.#written)) return
    const { namespace, name, uid } = this.#pod.metadata
    const options = { type: 'merge', subresource: 'status' } as const
    try {
      const written = await this.#host.api.client.patch(
        PODS,
        { namespace, name },
        { metadata: { uid }, status },
        options,
      )
      // Later times are kept from this answer, which may be ahead of the watch.
      this.#pod = { ...this.#pod, ...(written.status && { status: written.status }) }
      this.#written = status
    } catch (error) {
      // The Pod is gone, or another one has its name.
      if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
    }
  }
}

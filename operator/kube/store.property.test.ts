import fc from 'fast-check'
import { expect, test } from 'vitest'
import { silentLog } from '../telemetry/log.ts'
import { ObjectStore } from './store.ts'
import type { KubeObject } from './types.ts'

const NAMES = ['a', 'b', 'c'] as const

type Step =
  | { readonly do: 'write'; readonly name: string; readonly ours: boolean }
  | { readonly do: 'delete'; readonly name: string }
  | { readonly do: 'deliver' | 'answer' | 'relist' | 'bookmark'; readonly late: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('write' as const), name: fc.constantFrom(...NAMES), ours: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), name: fc.constantFrom(...NAMES) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'deliver' as const,
        'deliver' as const,
        'answer' as const,
        'relist' as const,
        'bookmark' as const,
      ),
      late: fc.boolean(),
    }),
  },
)

interface Event {
  readonly type: 'put' | 'remove'
  readonly object: KubeObject
  readonly ours: boolean
}

/** A server with its history, a watch that lags behind it, and answers to own writes that come when they come. */
class Server {
  readonly store = new ObjectStore<KubeObject>(silentLog)
  readonly #state = new Map<string, KubeObject>()
  readonly #unseen: Event[] = []
  readonly #answers: KubeObject[] = []
  /** The latest version of each name that somebody else wrote and the store has yet to tell of. */
  readonly #untold = new Map<string, bigint>()
  #version = 0

  constructor() {
    this.store.onChange(({ object, source }) => {
      const untold = this.#untold.get(object.metadata.name) ?? -1n
      if (source !== 'write' && BigInt(object.metadata.resourceVersion ?? 0) >= untold)
        this.#untold.delete(object.metadata.name)
    })
  }

  async take(action: Step): Promise<void> {
    const before = this.#versions()
    if (action.do === 'write') this.#write(action.name, action.ours)
    else if (action.do === 'delete') this.#delete(action.name)
    else if (action.do === 'deliver') this.#deliver()
    else if (action.do === 'answer') this.#answer(action.late)
    else if (action.do === 'bookmark') this.#bookmark()
    else await this.#relist()
    for (const [name, version] of this.#versions()) {
      expect(version, `${name} does not go back`).toBeGreaterThanOrEqual(before.get(name) ?? 0n)
    }
  }

  async finish(): Promise<void> {
    while (this.#answers.length > 0) this.#answer(false)
    while (this.#unseen.length > 0) this.#deliver()
    expect(new Map(this.store.list().map((object) => [object.metadata.name, object]))).toEqual(this.#state)
    expect([...this.#untold.keys()], 'every foreign change was told').toEqual([])
  }

  #versions(): Map<string, bigint> {
    return new Map(this.store.list().map(({ metadata }) => [metadata.name, BigInt(metadata.resourceVersion ?? 0)]))
  }

  #write(name: string, ours: boolean): void {
    const known = this.#state.get(name)
    const uid = known?.metadata.uid ?? `uid-${this.#version}`
    const object: KubeObject = { metadata: { name, uid, resourceVersion: String(++this.#version) } }
    this.#state.set(name, object)
    this.#unseen.push({ type: 'put', object, ours })
    if (ours) this.#answers.push(object)
    else this.#untold.set(name, BigInt(this.#version))
  }

  #delete(name: string): void {
    const known = this.#state.get(name)
    if (!known) return
    const object = { metadata: { ...known.metadata, resourceVersion: String(++this.#version) } }
    this.#state.delete(name)
    // What is deleted before anybody told of it need not be told of.
    this.#untold.delete(name)
    this.#unseen.push({ type: 'remove', object, ours: false })
  }

  #deliver(): void {
    const event = this.#unseen.shift()
    if (event?.type === 'put') this.store.put(event.object)
    else if (event) this.store.remove(event.object)
  }

  #answer(late: boolean): void {
    const answer = late ? this.#answers.pop() : this.#answers.shift()
    if (answer) this.store.observe(answer)
  }

  #bookmark(): void {
    if (this.#unseen.length === 0) this.store.advance(BigInt(this.#version))
  }

  async #relist(): Promise<void> {
    this.#unseen.length = 0
    await this.store.replace(new Map(this.#state), String(this.#version))
  }
}

test('whatever the order of events, answers and listings, the store ends equal to the server and hides no foreign change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80 }), async (steps) => {
      const server = new Server()
      for (const action of steps) await server.take(action)
      await server.finish()
    }),
    { numRuns: 2_000 },
  )
})

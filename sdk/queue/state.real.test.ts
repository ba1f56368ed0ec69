import fc from 'fast-check'
import { escapeIdentifier } from 'pg'
import { describe, expect, test } from 'vitest'
import { STATES, TRANSITIONS } from './sql/states.ts'
import { arrayText, type Failure, type Outcome, readClaim } from './store.ts'
import { freshLab, type Lab } from './testing/lab.ts'

/** What the model knows of a job. */
interface Model {
  state: keyof typeof STATES
  epoch: number
  seq: number
  attempt: number
  crashes: number
  worker: number
  tenant: string
}

type Step =
  | { readonly kind: 'enqueue'; readonly tenant: number; readonly delayed: boolean }
  | { readonly kind: 'take' | 'claim'; readonly worker: number; readonly most: number }
  | { readonly kind: 'complete' | 'release' | 'fail' | 'die'; readonly worker: number; readonly stale: boolean }
  | { readonly kind: 'cancel' | 'redrive' | 'promote' | 'reap'; readonly of: number }

const CAP = 2
const ATTEMPTS = 2

const worker = fc.nat(1)
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('enqueue' as const), tenant: fc.nat(1), delayed: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('take' as const, 'claim' as const),
      worker,
      most: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('complete' as const, 'release' as const, 'fail' as const, 'die' as const),
      worker,
      stale: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('cancel' as const, 'redrive' as const, 'promote' as const, 'reap' as const),
      of: fc.nat(9),
    }),
  },
)

/** More jobs of a tenant than may run at once, claimed by their ids: random steps rarely come to that. */
const OVER_THE_CAP: Step[] = [
  ...Array.from({ length: CAP + 2 }, () => ({ kind: 'enqueue', tenant: 0, delayed: false }) as const),
  { kind: 'claim', worker: 0, most: CAP + 2 },
]

describe('the functions in the database', () => {
  test('do what the state machine allows, in any order, and their events tell it', async () => {
    const lab = await freshLab()
    await lab.queue.setQueue('default', { perTenantConcurrency: CAP, attempts: ATTEMPTS })
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 30 }), async (steps) => {
        const run = await openRun(lab)
        for (const step of steps) {
          await run.step(step)
          await run.check()
        }
        await run.checkEvents()
      }),
      { numRuns: 100, examples: [[OVER_THE_CAP]] },
    )
  })
})

async function openRun(lab: Lab) {
  const { client, store } = lab
  const s = escapeIdentifier(lab.schema)
  await client.query(`TRUNCATE ${s}.job, ${s}.event, ${s}.usage, ${s}.worker`)
  const jobs = new Map<string, Model>()
  const workers = [await register(), await register()]
  const numbers = (): number[] => workers.slice(0, 2)
  function register(): Promise<number> {
    return store.value<number>(client, 'register', 'model', 60_000)
  }
  const held = (number: number): [string, Model][] =>
    [...jobs].filter(([, job]) => job.state === 'leased' && job.worker === number)
  const leave = (job: Model, state: Model['state']): void => {
    job.state = state
    job.seq++
  }
  const claimed = (number: number, rows: Parameters<typeof readClaim>[0]): void => {
    for (const { id, epoch, attempt } of readClaim(rows).jobs) {
      const job = jobs.get(id)
      expect(job?.state).toBe('ready')
      if (!job) continue
      leave(job, 'leased')
      job.epoch++
      job.worker = number
      expect({ epoch, attempt }).toEqual({ epoch: job.epoch, attempt: job.attempt })
    }
  }
  const steps = {
    async enqueue({ tenant, delayed }: Extract<Step, { kind: 'enqueue' }>) {
      const name = `t${tenant}`
      const text = JSON.stringify([{ name: 'model', payload: 1, tenant: name, ...(delayed && { delay: 1_000_000 }) }])
      const { ids } = await store.value<{ ids: string }>(client, 'enqueue', text)
      const state = delayed ? 'scheduled' : 'ready'
      jobs.set(ids, { state, epoch: 0, seq: 1, attempt: 0, crashes: 0, worker: 0, tenant: name })
    },
    async take({ worker: w, most }: Extract<Step, { kind: 'take' | 'claim' }>) {
      const number = numbers()[w] ?? 0
      const able = [...jobs.values()].filter(({ state }) => state === 'ready').length
      const before = held(number).length
      claimed(number, await store.rows(client, 'take', number, null, most, ''))
      // Where there are no limits in the way, something is found.
      const full = [0, 1, 2].some(
        (t) => [...jobs.values()].filter((j) => j.tenant === `t${t}` && j.state === 'leased').length >= CAP,
      )
      if (able > 0 && !full) expect(held(number).length).toBeGreaterThan(before)
    },
    async claim({ worker: w, most }: Extract<Step, { kind: 'take' | 'claim' }>) {
      const number = numbers()[w] ?? 0
      const ids = [...jobs.keys()].slice(0, most)
      claimed(number, await store.rows(client, 'claim', number, arrayText(ids)))
    },
    async complete(step: Ending) {
      await end(
        step,
        (job) => leave(job, 'succeeded'),
        (number, ids, epochs) =>
          store.value<Outcome | null>(client, 'complete', number, arrayText(ids), arrayText(epochs)),
      )
    },
    async fail(step: Ending) {
      await end(
        step,
        (job) => {
          job.attempt++
          job.crashes = 0
          leave(job, job.attempt >= ATTEMPTS ? 'dead' : 'scheduled')
        },
        (number, ids, epochs) => {
          const failures: Failure[] = ids.map((id, i) => ({ id, epoch: epochs[i] ?? 0, delay: 1_000_000, error: 'e' }))
          return store.value<Outcome>(client, 'fail', number, JSON.stringify(failures))
        },
      )
    },
    async release(step: Ending) {
      await end(
        step,
        (job) => leave(job, 'ready'),
        async (number, ids, epochs) => {
          await store.value(client, 'release', number, arrayText(ids), arrayText(epochs))
          return undefined
        },
      )
    },
    async die({ worker: w }: Ending) {
      const number = numbers()[w] ?? 0
      await store.value(client, 'retire', number)
      await store.value(client, 'reap', 1000)
      for (const [, job] of held(number)) {
        leave(job, 'ready')
        job.crashes = Math.max(1, job.crashes)
      }
      workers[w] = await register()
    },
    async cancel({ of }: Extract<Step, { of: number }>) {
      const [id, job] = [...jobs][of] ?? []
      if (id === undefined || !job) return
      const { ids } = await store.value<{ ids: string[] | null }>(client, 'cancel', arrayText([id]))
      const may = (TRANSITIONS.cancelled.from as readonly string[]).includes(job.state)
      expect(ids ?? []).toEqual(may ? [id] : [])
      if (may) leave(job, 'cancelled')
    },
    async redrive() {
      await store.value(client, 'redrive', '{}', 1000)
      for (const job of jobs.values()) {
        if (job.state !== 'dead') continue
        leave(job, 'ready')
        job.attempt = 0
        job.crashes = 0
      }
    },
    async promote() {
      await client.query(`UPDATE ${s}.job SET run_at = now() WHERE state = ${STATES.scheduled}`)
      await store.value(client, 'promote', 1000)
      for (const job of jobs.values()) if (job.state === 'scheduled') leave(job, 'ready')
    },
    async reap() {
      expect(await store.value(client, 'reap', 1000)).toMatchObject({ count: 0 })
    },
  }
  type Ending = Extract<Step, { stale: boolean }>
  type Call = (number: number, ids: string[], epochs: number[]) => Promise<Outcome | null | undefined>
  async function end({ worker: w, stale }: Ending, accept: (job: Model) => void, call: Call): Promise<void> {
    const number = numbers()[w] ?? 0
    const mine = stale ? [...jobs].filter(([, job]) => job.epoch > 0) : held(number)
    const epochs = mine.map(([, job]) => (stale ? job.epoch - 1 : job.epoch))
    const outcome = await call(
      number,
      mine.map(([id]) => id),
      epochs,
    )
    const accepted = stale ? [] : mine
    for (const [, job] of accepted) accept(job)
    const late = mine.filter((one) => !accepted.includes(one)).map(([id]) => id)
    if (outcome !== undefined) expect(new Set(outcome?.fenced ?? [])).toEqual(new Set(late))
  }
  return {
    step: (step: Step) => (steps[step.kind] as (step: Step) => Promise<void>)(step),
    async check() {
      const { rows } = await client.query(
        `SELECT id::text, state, epoch, seq, attempt, crashes, tenant FROM ${s}.job ORDER BY id`,
      )
      const want = [...jobs].map(([id, { state, worker: _, ...rest }]) => ({ id, state: STATES[state], ...rest }))
      expect(rows).toEqual(want.toSorted((a, b) => (a.id < b.id ? -1 : 1)))
      const usage = await client.query<{ tenant: string; running: number }>(`SELECT tenant, running FROM ${s}.usage`)
      for (const { tenant, running } of usage.rows) {
        expect(running).toBe([...jobs.values()].filter((j) => j.tenant === tenant && j.state === 'leased').length)
        expect(running).toBeLessThanOrEqual(CAP)
      }
    },
    /** I4: the events of a job have no gap, each begins where the one before ended, and the last one is where the job is. */
    async checkEvents() {
      const { rows } = await client.query(
        `SELECT job_id::text AS id, seq, "from", "to" FROM ${s}.event WHERE seq IS NOT NULL ORDER BY job_id, seq`,
      )
      for (const [id, job] of jobs) {
        const mine = rows.filter((row) => row.id === id)
        expect(mine.map(({ seq }) => seq)).toEqual(Array.from({ length: job.seq }, (_, i) => i + 1))
        expect(mine.slice(1).map(({ from }) => from)).toEqual(mine.slice(0, -1).map(({ to }) => to))
        expect(mine.at(-1)?.to).toBe(STATES[job.state])
      }
    },
  }
}

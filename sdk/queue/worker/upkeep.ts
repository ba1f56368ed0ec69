import type { Core } from '../core.ts'
import { nextTick } from '../cron.ts'
import type { Group, Outcome } from '../store.ts'
import { fastTasks } from './upkeep-fast.ts'

/** How long a leader leads without a sign. */
const LEAD_MS = 3000
const STEP_MS = 100
const PAGE = 1000

/** Something to be done every so many milliseconds; `due` is when the next time is. */
export interface Task {
  readonly every: number
  readonly run: () => Promise<unknown>
  due: number
}

/**
 * What is to be done once for all workers: due jobs, lost workers, schedules, and keeping Redis in step. Every worker runs it, and one
 * of them leads. Whatever fails is done the next time. Resolves when `signal` aborts and the last step is over.
 */
export async function keepUp(core: Core, worker: () => number, signal: AbortSignal): Promise<void> {
  const tasks = tasksOf(core)
  let leadsUntil = 0
  const step = async (): Promise<void> => {
    const now = performance.now()
    if (leadsUntil - now < LEAD_MS / 2) {
      const leads = await core.store.value<boolean>(core.pool, 'lead', worker(), LEAD_MS)
      leadsUntil = leads ? now + LEAD_MS : 0
    }
    if (leadsUntil > performance.now()) await runDue(tasks, signal)
  }
  while (!signal.aborted) {
    await step().catch((error) => core.report(error, 'look after the queue'))
    await pause(leadsUntil > 0 ? STEP_MS : LEAD_MS / 3, signal)
  }
}

async function runDue(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  for (const task of tasks) {
    if (signal.aborted || performance.now() < task.due) continue
    task.due = performance.now() + task.every
    await task.run()
  }
}

function tasksOf(core: Core): readonly Task[] {
  const { store, pool, fast } = core
  const tell = (name: string): Promise<void> => repeat(core, name)
  const all: Task[] = [
    { every: 100, due: 0, run: () => tell('promote') },
    { every: 1000, due: 0, run: () => tell('reap') },
    { every: 500, due: 0, run: () => tickCrons(core) },
    { every: 3_600_000, due: 0, run: () => store.value(pool, 'prepare_days') },
  ]
  return fast === undefined ? all : [...all, ...fastTasks(core, fast)]
}

/** In pages, until nothing is left. */
async function repeat(core: Core, name: string): Promise<void> {
  for (;;) {
    const outcome = await core.store.value<Outcome & { count: number; more?: readonly Group[] | null }>(
      core.pool,
      name,
      PAGE,
    )
    if (outcome.count > 0) await core.tell({ ...outcome, ready: [...(outcome.ready ?? []), ...(outcome.more ?? [])] })
    if (outcome.count < PAGE) return
  }
}

async function tickCrons(core: Core): Promise<void> {
  const due = await core.store.rows<[string, string, string, Date, Date]>(core.pool, 'due_crons')
  for (const [name, schedule, timezone, at, now] of due) {
    // What was missed while nobody worked is made up for once, not once for each time.
    const next = nextTick(schedule, timezone, now) ?? 'infinity'
    const made = await core.store.value<Outcome | null>(core.pool, 'tick_cron', name, at, next)
    if (made !== null) await core.tell(made)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}

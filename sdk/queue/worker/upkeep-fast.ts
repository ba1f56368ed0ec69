import { type Configuration, limitFields } from '../configuration.ts'
import type { Core } from '../core.ts'
import { type FastPath, flat } from '../fast/fast-path.ts'
import { hydrate, serverOf, sweepGenerations } from '../fast/hydrate.ts'
import { arrayText, type Freed, type Group } from '../store.ts'
import type { Task } from './upkeep.ts'

const PAGE = 1000

/** What keeps Redis in step with Postgres. */
export function fastTasks(core: Core, fast: FastPath): readonly Task[] {
  const configure = configurator(core, fast)
  return [
    { every: 250, due: 0, run: () => checkGeneration(core, fast) },
    { every: 250, due: 0, run: () => relay(core, fast) },
    { every: 1000, due: 0, run: () => askOverdue(core, fast) },
    { every: 2000, due: 0, run: () => syncRunning(core, fast) },
    { every: 500, due: 0, run: configure },
  ]
}

function configurator({ store, pool }: Core, fast: FastPath): () => Promise<void> {
  let told = ''
  return async () => {
    const fields = limitFields(await store.value<Configuration>(pool, 'configuration'))
    const text = fields.join('\n')
    if (text === told) return
    await fast.call('configure', ...fields)
    told = text
  }
}

/** Fills Redis anew where it lost what it was told, is another server, or never had it. */
async function checkGeneration({ store, pool }: Core, fast: FastPath): Promise<void> {
  if (!(await store.value<boolean>(pool, 'start_fast'))) return
  const [row] = await store.rows<[string | null, string | null]>(pool, 'generation')
  const [generation, server] = row ?? []
  const [found, answering] = await Promise.all([fast.redis.get(`${fast.base}:gen`), serverOf(fast)])
  if (generation && found === generation && answering === server) return
  const filling = await hydrate(fast, store, pool)
  if (filling !== undefined) await sweepGenerations(fast, filling.generation)
}

type Announced = readonly [xid: string, low: string | null, high: string | null, ids: string | null]

/** Tells Redis of what became ready in transactions whose process did not tell it, because it died or did not see them commit. */
async function relay(core: Core, fast: FastPath): Promise<void> {
  while (await relayPage(core, fast));
}

/** Whether there may be more. */
async function relayPage(core: Core, fast: FastPath): Promise<boolean> {
  const { store, pool } = core
  const all = await store.rows<Announced>(pool, 'announced', PAGE)
  const last = all.at(-1)
  if (last === undefined) return false
  const missing = new Set((await fast.call('unheard', ...new Set(all.map(([xid]) => xid)))) as string[])
  for (const one of all) if (missing.has(one[0])) await pushAnnounced(core, fast, one)
  // A full page may end within a transaction: that one is read again.
  const full = all.length === PAGE
  const done = full ? all.findLast(([xid]) => xid !== last[0])?.[0] : last[0]
  await store.value(pool, 'relayed', done ?? last[0])
  return full
}

async function pushAnnounced({ store, pool }: Core, fast: FastPath, [, low, high, ids]: Announced): Promise<void> {
  const groups =
    ids === null
      ? store.value<readonly Group[] | null>(pool, 'ready_between', low, high)
      : store.value<readonly Group[] | null>(pool, 'still_ready', arrayText(ids.split(' ')))
  await push(fast, await groups)
}

/** Jobs that Redis gave away and nobody claimed in Postgres: their worker died in between. */
async function askOverdue({ store, pool }: Core, fast: FastPath): Promise<void> {
  const ids = (await fast.call('overdue', PAGE)) as string[]
  if (ids.length > 0) await push(fast, await store.value<readonly Group[] | null>(pool, 'still_ready', arrayText(ids)))
}

async function push(fast: FastPath, groups: readonly Group[] | null): Promise<void> {
  if (groups !== null) await fast.call('push', '', ...groups.flat())
}

async function syncRunning({ store, pool }: Core, fast: FastPath): Promise<void> {
  await fast.call('running', ...flat(await store.value<readonly Freed[] | null>(pool, 'running')))
}

import { randomUUID } from 'node:crypto'
import { type Configuration, limitFields } from '../configuration.ts'
import type { Database, Freed, Group, Store } from '../store.ts'
import { type FastPath, flat } from './fast-path.ts'

/** Ids read and sent in one step. */
const PAGE = 5000

/** What a filling of Redis came to. */
export interface Filling {
  readonly generation: string
  readonly jobs: number
}

interface Page {
  readonly groups: readonly Group[] | null
  readonly count: number
  readonly last: readonly [queue: string, priority: number, tenant: string, id: string] | null
}

/**
 * Fills a new generation with all that is ready in Postgres. Jobs that become ready meanwhile are pushed into it by their own
 * processes; its name becomes the valid one last of all. Undefined where Redis lost it in the middle: then it is to be begun again.
 */
export async function hydrate(fast: FastPath, store: Store, db: Database): Promise<Filling | undefined> {
  const generation = randomUUID()
  await fast.call('begin', generation)
  const server = await serverOf(fast)
  await fast.call('configure', ...limitFields(await store.value<Configuration>(db, 'configuration')))
  await fast.call('running', ...flat(await store.value<readonly Freed[] | null>(db, 'running')))
  let jobs = 0
  let sent: Promise<unknown> = Promise.resolve(1)
  let next: Promise<Page> | undefined = pageAfter(store, db, ['', -1, '', '0'])
  while (next !== undefined) {
    const page: Page = await next
    // The next page is read while this one is sent.
    next = page.count === PAGE && page.last !== null ? pageAfter(store, db, page.last) : undefined
    if ((await sent) !== 1) return undefined
    sent = page.groups === null ? Promise.resolve(1) : fast.call('fill', generation, ...page.groups.flat())
    jobs += page.count
  }
  if ((await sent) !== 1) return undefined
  if ((await fast.call('finish', generation)) !== 1) return undefined
  await store.value(db, 'set_generation', generation, server)
  return { generation, jobs }
}

function pageAfter(store: Store, db: Database, last: NonNullable<Page['last']>): Promise<Page> {
  const [queue, priority, tenant, id] = last
  return store.value<Page>(db, 'ready_page', queue, priority, tenant, id, PAGE)
}

/** Which process answers: after a restart or a failover, what Redis holds may be older than what it was told. */
export async function serverOf(fast: FastPath): Promise<string> {
  return /run_id:(\w+)/.exec(await fast.redis.info('server'))?.[1] ?? ''
}

/** Deletes the keys of former generations. */
export async function sweepGenerations(fast: FastPath, valid: string): Promise<void> {
  const pattern = `${fast.base.replaceAll(/[\\*?[\]]/g, '\\$&')}:*-*:*`
  for await (const keys of fast.redis.scanStream({ match: pattern, count: 500 })) {
    const old = (keys as string[]).filter((key) => !key.startsWith(`${fast.base}:${valid}:`))
    if (old.length > 0) await fast.redis.unlink(...old)
  }
}

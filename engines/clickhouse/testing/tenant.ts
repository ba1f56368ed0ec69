/** A tenant with a database of its own on a link, with what the operator does with it, for tests of SQL files. */
import type { Applied, Batch, Owner, TenantInput } from '../../model.ts'
import { type ApplyContext, applyAll } from '../apply.ts'
import type { Link } from '../client.ts'
import { type ChResource, clickhouse } from '../engine.ts'
import { fencedLink } from '../fence.ts'
import { type HistoryRow, readHistory } from '../ledger.ts'
import { observe } from '../observe.ts'
import { openRecorder } from '../record.ts'

export const signal = AbortSignal.timeout(600_000)
export const TENANT = `n/o'Brien {x:String} \\ "`
export const OWNER: Owner = { installation: 'i', kind: 'Tenant', namespace: 'n', name: 'acme', uid: 'u' }
export const RUN = { id: 'run-7', by: `kate@example.com '\\` }

let names = 0

export type Files = Partial<Pick<TenantInput, 'files' | 'reverted'>>

/** Under a name that needs quotes. */
export function tenant(server: Link) {
  const name = `t_o'"\`{x:String}_${++names}`
  const shared = 'd_x'
  const input = { name, tenantId: 'x', shared, suspended: false, logins: [], limits: {}, files: [], tenant: TENANT }
  const wanted = (files: Files) => clickhouse.tenantResources({ ...input, ...files, isolation: 'Database' })
  const look = () => {
    const greeting = { version: '26', user: 'default', latencyMs: 1, noAccessControl: 'none', replicaSets: [] }
    return observe(server, [name], greeting, signal)
  }
  const diff = async (files: Files) => clickhouse.diff(OWNER, wanted(files), await look())
  const apply = async (files: Files, over: Partial<ApplyContext> = {}, link = server): Promise<Applied<ChResource>> => {
    const batch: Batch<ChResource> = { owner: OWNER, changes: await diff(files), secrets: () => '', run: RUN }
    const fixed = { admin: 'default', accessControl: false, installation: 'i', replicaSets: [], waitMs: 20_000, signal }
    return applyAll({ link: fencedLink(link, undefined), record: openRecorder(link), ...fixed, ...over }, batch)
  }
  const run = (sql: string) => server.run(sql, { doing: 'test', signal, database: name })
  const rows = <T>(sql: string) => server.rows<T>(sql, { doing: 'test', signal, database: name })
  const history = async (): Promise<readonly HistoryRow[]> =>
    (await readHistory(server, '0', { doing: 'test', signal })).filter(({ database }) => database === name)
  const events = async () => (await history()).map(({ version, event }) => `${version} ${event}`)
  const columns = async () =>
    (
      await rows<{ c: string }>(
        "SELECT concat(table, '.', name) AS c FROM system.columns WHERE database = currentDatabase()",
      )
    )
      .map(({ c }) => c)
      .toSorted()
  return { name, diff, apply, run, rows, history, events, columns, look }
}

/** Dies with the answer to the n-th request on the way, which is the same as before the next one is sent. */
export function dying(server: Link, at: number): Link {
  let requests = 0
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    requests += 1
    if (requests > at) throw new Error('killed')
    const answer = await work()
    if (requests === at) throw new Error('killed')
    return answer
  }
  return {
    rows: (sql, call) => step(() => server.rows<never>(sql, call)),
    run: (sql, call) => step(() => server.run(sql, call)),
    close: async () => undefined,
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { table } from '../../cli/table.ts'
import type { Kubectl } from './kubectl.ts'

type Resource = Tenant | Database
/** Seconds from the start of the wait until each tenant was seen ready, by `namespace/name`. */
type ReadyAfter = ReadonlyMap<string, number>

const POLL_MS = 500
const MESSAGE_LENGTH = 100

/** The key of an object among those of its kind. */
const keyOf = ({ metadata }: { metadata: { namespace?: string; name: string } }): string =>
  `${metadata.namespace}/${metadata.name}`

/** Ready, and for the spec as it is now. */
export function isReady({ metadata, status }: Resource): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' && status?.observedGeneration === metadata.generation
}

export interface Waited {
  readonly tenants: readonly Tenant[]
  readonly readyAfter: ReadyAfter
}

export interface WaitOptions {
  readonly kubectl: Kubectl
  /** `namespace/name` of each tenant to wait for. */
  readonly keys: readonly string[]
  readonly timeoutMs: number
  readonly say: (detail: string) => void
  readonly signal: AbortSignal
}

/** Waits until all tenants are ready; rejects with every one that is not and why when the time is over. */
export async function waitForTenants({ kubectl, keys, timeoutMs, say, signal }: WaitOptions): Promise<Waited> {
  const begin = performance.now()
  const readyAfter = new Map<string, number>()
  for (;;) {
    signal.throwIfAborted()
    const tenants = (await list<Tenant>(kubectl, 'tenants')).filter((tenant) => keys.includes(keyOf(tenant)))
    const pending = tenants.filter((tenant) => !isReady(tenant))
    for (const tenant of tenants) note(readyAfter, tenant, performance.now() - begin)
    if (pending.length === 0 && tenants.length === keys.length) return { tenants, readyAfter }
    if (performance.now() - begin > timeoutMs) throw new Error(await explain(kubectl, pending, timeoutMs))
    say(`${tenants.length - pending.length} of ${keys.length} ready${pending.map(shortly).join('')}`)
    await sleep(POLL_MS, undefined, { signal })
  }
}

function note(readyAfter: Map<string, number>, tenant: Tenant, ms: number): void {
  if (isReady(tenant) && !readyAfter.has(keyOf(tenant))) readyAfter.set(keyOf(tenant), ms / 1000)
}

export async function list<T>(kubectl: Kubectl, plural: string): Promise<readonly T[]> {
  const answer: { items: T[] } = JSON.parse(await kubectl(['get', `${plural}.tenantry.dev`, '-A', '-o', 'json']))
  return answer.items
}

function messageOf({ status }: Resource): string {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? 'not looked at yet'
}

function shortly(tenant: Tenant): string {
  const message = messageOf(tenant)
  return `; ${tenant.metadata.name}: ${message.length > MESSAGE_LENGTH ? `${message.slice(0, MESSAGE_LENGTH)}…` : message}`
}

/** Every condition of what is not ready: the tenants and the Databases below them. */
async function explain(kubectl: Kubectl, pending: readonly Tenant[], timeoutMs: number): Promise<string> {
  const databases = (await list<Database>(kubectl, 'databases')).filter((database) => !isReady(database))
  const paragraphs = [...databases, ...pending].map((resource) => {
    const conditions = resource.status?.conditions ?? []
    const lines = conditions.map(({ type, status, reason, message }) => `    ${type}=${status} ${reason}: ${message}`)
    return [`  ${resource.kind} ${keyOf(resource)}`, ...(lines.length > 0 ? lines : ['    no status yet'])].join('\n')
  })
  return [`Not every tenant was ready within ${timeoutMs / 1000} s:`, ...paragraphs].join('\n')
}

/** One line for each place that a tenant has. */
export function renderTenants({ tenants, readyAfter }: Waited): string {
  const rows = tenants.flatMap((tenant) => {
    const seconds = readyAfter.get(keyOf(tenant))?.toFixed(1) ?? '-'
    return (tenant.status?.databases ?? []).map((entry) => [
      tenant.metadata.name,
      entry.databaseRef?.name ?? entry.name,
      entry.engine ?? '-',
      entry.shard ?? '-',
      entry.schema ?? entry.keyPrefix ?? entry.database ?? '-',
      entry.secretName ?? '-',
      entry.ready === true ? 'Ready' : 'Pending',
      seconds,
    ])
  })
  const headings = ['TENANT', 'TIER', 'ENGINE', 'SHARD', 'SCHEMA/PREFIX/DATABASE', 'SECRET', 'STATE', 'SECONDS']
  return table(headings, rows)
}

/** What the engines behind the tenants cannot do, each once: for example access control in the embedded ClickHouse. */
export function limitations({ tenants }: Waited): readonly string[] {
  const conditions = tenants.flatMap(({ status }) => status?.conditions ?? [])
  const unsupported = conditions.filter(({ status, reason }) => status !== 'True' && reason === 'Unsupported')
  return [...new Set(unsupported.map(({ type, message }) => `${type}: ${message}`))]
}

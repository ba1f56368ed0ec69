import { Gauge, type Registry } from 'prom-client'

/** A Database as far as its rollout is told. */
export interface WithRollout {
  readonly metadata: { readonly namespace: string; readonly name: string }
  readonly status?:
    | { readonly rollout?: { readonly state?: string | undefined; readonly counts?: Counts | undefined } | undefined }
    | undefined
}

type Counts = Readonly<Partial<Record<'total' | 'atTarget' | 'pending' | 'failed' | 'suspended', number | undefined>>>

export interface RolloutMetrics {
  /** From now on the rollouts of these Databases are told at every scrape. */
  tellRollouts(databases: () => Iterable<WithRollout>): void
}

const STATES = { atTarget: 'at_target', pending: 'pending', failed: 'failed', suspended: 'suspended' } as const

export function registerRolloutMetrics(registry: Registry): RolloutMetrics['tellRollouts'] {
  let read: () => Iterable<WithRollout> = () => []
  const gauge: Gauge = new Gauge({
    name: 'tenantry_rollout_units',
    help: 'Tenants, or shards where tables are shared, of a Database by where they stand in its rollout',
    labelNames: ['namespace', 'database', 'state'],
    registers: [registry],
    collect: () => {
      gauge.reset()
      for (const { metadata, status } of read()) {
        const { counts } = status?.rollout ?? {}
        if (!counts) continue
        const { namespace, name: database } = metadata
        for (const [field, state] of Object.entries(STATES))
          gauge.set({ namespace, database, state }, counts[field as keyof typeof STATES] ?? 0)
      }
    },
  })
  return (databases) => {
    read = databases
  }
}

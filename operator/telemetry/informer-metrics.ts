import { Counter, Gauge, type Registry } from 'prom-client'
import type { Informer, InformerMetrics } from '../kube/informer.ts'
import { type KubeObject, resourceName } from '../kube/types.ts'

/** Registers what is told of informers; several of one resource are counted together. */
export function createInformerMetrics(registry: Registry): InformerMetrics {
  const registers = [registry]
  const running = new Set<Informer<KubeObject>>()
  const relists = new Counter({
    name: 'tenantry_informer_relists_total',
    help: 'Complete listings of a resource, by reason',
    labelNames: ['resource', 'reason'],
    registers,
  })
  const ends = new Counter({
    name: 'tenantry_informer_watches_ended_total',
    help: 'Watches of a resource that ended, by how',
    labelNames: ['resource', 'end'],
    registers,
  })
  const perResource = (name: string, help: string, add: (sum: number, informer: Informer<KubeObject>) => number) => {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: ['resource'],
      registers,
      collect: () => {
        const sums = new Map<string, number>()
        for (const informer of running) {
          const resource = resourceName(informer.type)
          sums.set(resource, add(sums.get(resource) ?? 0, informer))
        }
        gauge.reset()
        for (const [resource, sum] of sums) gauge.set({ resource }, sum)
      },
    })
  }
  perResource('tenantry_informer_objects', 'Objects held in memory', (sum, { store }) => sum + store.size)
  perResource('tenantry_informer_silence_seconds', 'Longest time since the API server was last heard', (most, i) =>
    Math.max(most, i.lastContactMs / 1000),
  )
  return {
    started: (informer) => running.add(informer),
    stopped: (informer) => running.delete(informer),
    relisted: (resource, reason) => relists.inc({ resource, reason }),
    watchEnded: (resource, end) => ends.inc({ resource, end }),
  }
}

import { Counter, Gauge, type Registry } from 'prom-client'

/** What is told of tables that were compared with what their SQL files make. */
export interface DriftMetrics {
  /** A schema was compared. */
  comparedSchema(engine: string, outcome: 'same' | 'differs' | 'unknown'): void
  /** From now on the schemas that differ, given by the names of their engines, are counted at every scrape. */
  tellDrift(engines: () => Iterable<string>): void
}

export function createDriftMetrics(registry: Registry): DriftMetrics {
  const comparisons = new Counter({
    name: 'tenantry_schema_comparisons_total',
    help: 'Schemas that were compared with what their SQL files make, by whether they were the same (same), differed (differs) or could not be judged (unknown)',
    labelNames: ['engine', 'outcome'],
    registers: [registry],
  })
  return {
    comparedSchema: (engine, outcome) => comparisons.inc({ engine, outcome }),
    tellDrift: registerDrift(registry),
  }
}

function registerDrift(registry: Registry): DriftMetrics['tellDrift'] {
  let read: () => Iterable<string> = () => []
  const drift: Gauge = new Gauge({
    name: 'tenantry_schema_drift',
    help: 'Schemas that were not as their SQL files make them when they were last looked at',
    labelNames: ['engine'],
    registers: [registry],
    collect: () => {
      drift.reset()
      for (const engine of read()) drift.inc({ engine })
    },
  })
  return (given) => {
    read = given
  }
}

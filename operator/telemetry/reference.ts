import type { Metric, Registry } from 'prom-client'
import { createMetrics } from './metrics.ts'

interface Described {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames?: readonly string[]
}

const PROCESS = /^(process|nodejs)_/

const INTRODUCTION = `# Metrics

The operator serves these at \`/metrics\`. Where controller-runtime and client-go have a name for something, it is theirs, so
that their dashboards work. No label holds the name of a tenant: the number of series does not grow with tenants. Times are
in seconds. Beside them prom-client's own metrics of the process are there (\`process_*\`, \`nodejs_*\`).
`

/** Markdown reference of all metrics of the operator, made from the registry. */
export function metricsReference(): string {
  const rows = describe(createMetrics().registry)
    .filter(({ name }) => !PROCESS.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labelNames = [], help }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(', ')
      return `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll('|', '\\|')} |`
    })
  return [INTRODUCTION, '| metric | type | labels | |', '|---|---|---|---|', ...rows, ''].join('\n')
}

// The types of prom-client leave out what its metrics are made of.
function describe(registry: Registry): readonly Described[] {
  return registry.getMetricsAsArray().map((metric) => metric as unknown as Metric & Described)
}

import { AppError } from '@tenantry/crds/errors.ts'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { QueueObserver, WorkQueue } from '../queue/work-queue.ts'
import { WORK_SECONDS } from './buckets.ts'

/** Registers client-go's queue metrics; returns what makes the observer of a queue, which is named after its controller. */
export function createQueueMetrics(registry: Registry): (name: string) => QueueObserver {
  const registers = [registry]
  const labelNames = ['name', 'controller'] as const
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers })
  const histogram = (name: string, help: string) =>
    new Histogram({ name, help, labelNames, buckets: WORK_SECONDS, registers })
  const adds = counter('workqueue_adds_total', 'Keys added to the queue')
  const retries = counter('workqueue_retries_total', 'Keys added after a failure')
  const waited = histogram('workqueue_queue_duration_seconds', 'How long a key was ready before its run started')
  const worked = histogram('workqueue_work_duration_seconds', 'How long a run took')
  const perController = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ['controller'], registers })
  const timeouts = perController('controller_runtime_reconcile_timeouts_total', 'Runs that passed their deadline')
  const panics = perController('controller_runtime_reconcile_panics_total', 'Runs that ended in a defect')
  const attached = createQueueGauges(registry)
  return (name) => {
    const labels = { name, controller: name }
    return {
      attached: (queue) => attached(name, queue),
      added: () => adds.inc(labels),
      retried: () => retries.inc(labels),
      started: (waitedMs) => waited.observe(labels, waitedMs / 1000),
      finished: (tookMs) => worked.observe(labels, tookMs / 1000),
      timedOut: () => timeouts.inc({ controller: name }),
      failed: (_key, error) => {
        if (!(error instanceof AppError) || error.code === 'Internal') panics.inc({ controller: name })
      },
    }
  }
}

const MOST_PRIORITIES = 25

function createQueueGauges(registry: Registry): (name: string, queue: WorkQueue) => void {
  const queues = new Map<string, WorkQueue>()
  const each = (
    name: string,
    help: string,
    read: (queue: WorkQueue) => number,
    labels: (name: string) => Record<string, string> = queueLabels,
  ): void => {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: Object.keys(labels('')),
      registers: [registry],
      collect: () => {
        for (const [controller, queue] of queues) gauge.set(labels(controller), read(queue))
      },
    })
  }
  const controllerOnly = (controller: string) => ({ controller })
  each('workqueue_unfinished_work_seconds', 'Sum of the ages of the runs under way', ({ running }) =>
    running.reduce((sum, { forMs }) => sum + forMs / 1000, 0),
  )
  each('workqueue_longest_running_processor_seconds', 'Age of the longest run under way', ({ running }) =>
    running.reduce((longest, { forMs }) => Math.max(longest, forMs / 1000), 0),
  )
  each('workqueue_delayed', 'Keys that wait for their time', (queue) => queue.delayed)
  each('controller_runtime_active_workers', 'Runs under way', ({ running }) => running.length, controllerOnly)
  each(
    'controller_runtime_max_concurrent_reconciles',
    'Most runs at a time',
    ({ concurrency }) => concurrency,
    controllerOnly,
  )
  const depth: Gauge = new Gauge({
    name: 'workqueue_depth',
    help: 'Keys that wait to run now, by priority',
    labelNames: ['name', 'controller', 'priority'],
    registers: [registry],
    collect: () => {
      depth.reset()
      for (const [name, queue] of queues) {
        for (const [priority, count] of [...queue.depthByPriority()].slice(0, MOST_PRIORITIES)) {
          depth.set({ ...queueLabels(name), priority }, count)
        }
      }
    },
  })
  return (name, queue) => queues.set(name, queue)
}

function queueLabels(name: string): { name: string; controller: string } {
  return { name, controller: name }
}

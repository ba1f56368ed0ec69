import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Gauge, type Registry } from 'prom-client'

type IntervalHistogram = ReturnType<typeof monitorEventLoopDelay>

const RESOLUTION_MS = 10
const WINDOW_MS = 30_000
const QUANTILES = [0.5, 0.99, 0.999]

/**
 * Registers how late the event loop is, and how busy. Both are told for a window of the last half minute or more that
 * does not depend on how many scrape: a second Prometheus must not halve what the first one sees.
 */
export function registerEventLoopMetrics(registry: Registry): void {
  const window = openWindow()
  const delay: Gauge = new Gauge({
    name: 'tenantry_event_loop_delay_seconds',
    help: 'By how much timers were late within the last half minute or more, by quantile',
    labelNames: ['quantile'],
    registers: [registry],
    collect: () => {
      const { histogram } = window()
      for (const quantile of QUANTILES) delay.set({ quantile }, secondsLate(histogram, quantile))
    },
  })
  const utilization: Gauge = new Gauge({
    name: 'tenantry_event_loop_utilization_ratio',
    help: 'Share of the last half minute or more in which the event loop was busy',
    registers: [registry],
    collect: () => utilization.set(performance.eventLoopUtilization(window().since).utilization),
  })
}

interface Window {
  readonly histogram: IntervalHistogram
  readonly since: EventLoopUtilization
  readonly openedAt: number
}

/** Two windows overlap: the older one is read, and starts anew when the younger one is long enough to be read instead. */
function openWindow(): () => Window {
  let older = startWindow(monitorEventLoopDelay({ resolution: RESOLUTION_MS }))
  let younger = startWindow(monitorEventLoopDelay({ resolution: RESOLUTION_MS }))
  return () => {
    if (performance.now() - younger.openedAt >= WINDOW_MS) {
      const { histogram } = older
      histogram.reset()
      older = younger
      younger = startWindow(histogram)
    }
    return older
  }
}

function startWindow(histogram: IntervalHistogram): Window {
  histogram.enable()
  return { histogram, since: performance.eventLoopUtilization(), openedAt: performance.now() }
}

/** What is recorded is the time between two ticks of a timer, which is the resolution when nothing is late. */
function secondsLate(histogram: IntervalHistogram, quantile: number): number {
  if (histogram.count === 0) return 0
  return Math.max(0, histogram.percentile(quantile * 100) / 1e9 - RESOLUTION_MS / 1000)
}

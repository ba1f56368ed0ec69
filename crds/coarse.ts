/**
 * Values that move at every look, made coarse for a status: a status is only written when it says something new, and the
 * exact values are in the metrics. Each function is given what the status shows now and keeps it while it is about right.
 */
import { parseQuantity } from './common.ts'

const LATENCY: readonly (readonly [label: string, below: number])[] = [
  ['<10ms', 10],
  ['<100ms', 100],
  ['<1s', 1000],
  ['<10s', 10_000],
  ['>10s', Number.POSITIVE_INFINITY],
]

/** A latency leaves its class only when it is beyond the border by this factor. */
const LATENCY_SLACK = 4

/** The class of a latency in milliseconds: `<10ms`, `<100ms`, `<1s`, `<10s` or `>10s`. */
export function coarseLatency(ms: number, shown?: string): string {
  const at = LATENCY.findIndex(([label]) => label === shown)
  const upper = LATENCY[at]?.[1]
  const lower = LATENCY[at - 1]?.[1] ?? 0
  if (shown !== undefined && upper !== undefined && ms < upper * LATENCY_SLACK && ms >= lower / LATENCY_SLACK)
    return shown
  return LATENCY.find(([, below]) => ms < below)?.[0] ?? '>10s'
}

const SIZE_UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti'] as const
const SIZE_SLACK = 0.2

/** A size in bytes with two digits: `8.2Mi`, `43Gi`. What is shown stays while it is within a fifth. */
export function coarseSize(bytes: number, shown?: string): string {
  if (shown !== undefined && isWithin(bytes, shown)) return shown
  const power = Math.min(SIZE_UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const value = bytes / 2 ** (10 * power)
  const rounded = value < 10 ? Math.round(value * 10) / 10 : Math.round(value)
  return `${rounded}${SIZE_UNITS[power]}`
}

function isWithin(bytes: number, shown: string): boolean {
  if (!/^\d+(\.\d)?(Ki|Mi|Gi|Ti)?$/.test(shown)) return false
  const old = parseQuantity(shown)
  return Math.abs(bytes - old) <= old * SIZE_SLACK
}

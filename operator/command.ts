import { fileURLToPath } from 'node:url'

/**
 * How the operator is started: Node with these arguments. The bounds make Node collect garbage in time, so that the process fits
 * a memory limit of 512 MiB: without them it lets garbage pile up to a share of the machine's memory. The small space for what was
 * made last also keeps each of its collections short.
 */
export const OPERATOR_COMMAND: readonly string[] = [
  '--max-old-space-size=320',
  '--max-semi-space-size=4',
  `--import=${new URL('./lean-imports.ts', import.meta.url)}`,
  fileURLToPath(new URL('./main.ts', import.meta.url)),
]

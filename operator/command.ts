import { fileURLToPath } from 'node:url'

/**
 * How the operator is started: Node with these arguments. The bound on the heap makes Node collect garbage in time, so that the
 * process fits a memory limit of 512 MiB; without one it lets garbage pile up to a share of the machine's memory.
 */
export const OPERATOR_COMMAND: readonly string[] = [
  '--max-old-space-size=320',
  fileURLToPath(new URL('./main.ts', import.meta.url)),
]

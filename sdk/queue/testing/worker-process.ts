/** A worker as a process, for tests that kill it. Its options come from the environment, as JSON in QUEUE and QUEUES. */
import type { QueueOptions } from '../core.ts'
import { openQueue } from '../queue.ts'

const queue = openQueue<{ hang: unknown; echo: unknown; exit: number }>(
  JSON.parse(process.env.QUEUE ?? '{}') as QueueOptions,
)
await queue.worker(
  {
    hang: () => new Promise(() => undefined),
    echo: (payload) => payload,
    exit: (code) => process.exit(code),
  },
  { lease: 1000, poll: 20, queues: JSON.parse(process.env.QUEUES ?? '[]') as string[] },
)
process.stdout.write('up\n')

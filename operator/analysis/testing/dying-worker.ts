/** Reads files like the real one, and dies of those that say so. */
import { parentPort } from 'node:worker_threads'
import type { Request } from '../job.ts'

parentPort?.on('message', ({ id, file }: Request) => {
  if (file.body === 'exit') process.exit(3)
  if (file.body === 'throw') throw new Error('out of memory')
  parentPort?.postMessage({ id, result: { statements: [] } })
})

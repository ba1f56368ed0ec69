/** A thread of its own: the parser reads a file in one call, which takes seconds for a large one. */
import { parentPort } from 'node:worker_threads'
import type { Reply, Request } from './job.ts'
import { read } from './read.ts'

parentPort?.on('message', async (request: Request) => {
  const { id } = request
  const reply: Reply = await read(request).then(
    (result) => ({ id, result }),
    (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
  )
  parentPort?.postMessage(reply)
})

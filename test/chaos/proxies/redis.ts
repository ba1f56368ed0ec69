import type { Socket } from 'node:net'
import type { Gate } from '../gate.ts'
import { openRelay, type Relay, type Upstream } from './listen.ts'
import { type Frame, frames } from './resp.ts'

const WRITES = new Set(['HSET', 'HSETNX', 'HDEL', 'SET', 'DEL', 'UNLINK', 'FCALL', 'FUNCTION', 'EXPIRE'])
const ACL_WRITES = new Set(['SETUSER', 'DELUSER'])
const READ_ONLY = Buffer.from("-READONLY You can't write against a read only replica.\r\n")
const TOO_MANY = Buffer.from('-ERR max number of clients reached\r\n')

/** A fault proxy for Redis: one command at a time, so that every one of a pipeline is a fault point of its own. */
export async function openRedisProxy(gate: Gate, upstream: Upstream): Promise<Relay> {
  return await openRelay(upstream, async (client, open) => {
    if (gate.weather('redis') === 'refusing') return void client.resetAndDestroy()
    if (gate.weather('redis') === 'full') return void client.end(TOO_MANY)
    const server = open()
    const replies = frames(server)
    const queue: string[] = []
    for await (const command of frames(client)) {
      if (!(await pass(gate, { client, server, replies, queue }, command))) return void client.resetAndDestroy()
    }
    server.end()
  })
}

interface Ends {
  readonly client: Socket
  readonly server: Socket
  readonly replies: AsyncGenerator<Frame>
  /** Names of the writes inside a MULTI that has begun. */
  readonly queue: string[]
}

/** False when the connection is to be broken. */
async function pass(gate: Gate, ends: Ends, command: Frame): Promise<boolean> {
  const passages = writesOf(command.words, ends.queue).map((name) => gate.arrive('redis', name))
  for (const passage of passages) if ((await passage.ahead()) === 'drop') return false
  if (gate.weather('redis') === 'hanging') await gate.fair('redis')
  if (passages.length > 0 && gate.weather('redis') === 'read-only') return await refuse(ends, command)
  ends.server.write(command.bytes)
  const reply = await ends.replies.next()
  if (reply.done) return false
  const ok = isDone(reply.value.bytes)
  for (const passage of passages) if ((await passage.behind(ok)) === 'drop') return false
  ends.client.write(reply.value.bytes)
  return true
}

/** As a replica does: what it refuses to execute is queued no more. */
async function refuse({ client, server, replies }: Ends, { words }: Frame): Promise<boolean> {
  if (words[0]?.toUpperCase() === 'EXEC') {
    server.write('*1\r\n$7\r\nDISCARD\r\n')
    if ((await replies.next()).done) return false
  }
  client.write(READ_ONLY)
  return true
}

/** Neither an error nor a transaction that did not take place. */
function isDone(reply: Buffer): boolean {
  return reply[0] !== 0x2d && !reply.subarray(0, 3).equals(Buffer.from('*-1'))
}

/** The names of what a command writes; [] for a read. What a transaction queues is written at its EXEC. */
function writesOf(words: readonly string[], queue: string[]): readonly string[] {
  const verb = words[0]?.toUpperCase() ?? ''
  if (verb === 'MULTI') queue.splice(0, queue.length, 'MULTI')
  if (verb === 'EXEC') return queue.splice(0).slice(1)
  const name = nameOf(verb, words)
  if (name === undefined) return []
  if (queue.length === 0) return [name]
  queue.push(name)
  return []
}

function nameOf(verb: string, [, second = '', third = '']: readonly string[]): string | undefined {
  if (verb === 'ACL') return ACL_WRITES.has(second.toUpperCase()) ? `ACL ${second.toUpperCase()} ${third}` : undefined
  if (!WRITES.has(verb)) return undefined
  return verb.startsWith('H') ? `${verb} ${second} ${third}` : `${verb} ${second}`
}

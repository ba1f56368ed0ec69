import { AppError } from '@tenantry/crds/errors.ts'
import { decodeMark, encodeMark, sameOwner } from '@tenantry/engines/mark.ts'
import type { Applied, Batch, Change, Owner } from '@tenantry/engines/model.ts'
import { disarmArgs, parseGetUser, setUserArgs } from './acl.ts'
import { toAppError } from './errors.ts'
import { answer, type Command, type Link } from './link.ts'
import { globEscape, type KeySpace, keyPrefix, REGISTRY, type RedisResource, type User } from './model.ts'
import { type ServerTable, tableOf } from './server-table.ts'

/** Keys that one step of dropping a key space looks at, and at most deletes. */
const DROP_STEP = 1_000

type Todo = Change<RedisResource>

interface Work {
  readonly link: Link
  readonly server: ServerTable
  readonly owner: Owner
  readonly secrets: Batch['secrets']
  readonly signal: AbortSignal
  readonly save: () => Promise<void>
  readonly write: Write
}

/** Sends commands that change something, at once; `atomic` where none may be left out. Gives their answers. */
export type Write = (
  commands: readonly Command[],
  doing: string,
  signal: AbortSignal,
  atomic: boolean,
) => Promise<unknown[]>

/** How a session reaches its server. */
export interface Access {
  readonly link: Link
  readonly server: ServerTable
  /** Asked once for each batch. */
  readonly writer: () => Write
}

/**
 * Applies changes in order; every step can be killed and repeated. Users live on one node, so that a shard is one server:
 * replicas take no part in ACLs, and after a failover the next observation finds the users missing and makes them anew.
 */
export function applier({
  link,
  server,
  writer,
}: Access): (batch: Batch<RedisResource>, signal: AbortSignal) => Promise<Applied<RedisResource>> {
  const save = saver(link)
  return async ({ owner, changes, secrets }, signal) => {
    const done: Todo[] = []
    let write: Write | undefined
    for (const change of changes) {
      try {
        write ??= writer()
        await applyOne({ link, server, owner, secrets, signal, save, write }, change)
        done.push(change)
      } catch (error) {
        return { done, failed: { change, error: toAppError(error, change.summary) } }
      }
    }
    return { done }
  }
}

function applyOne(work: Work, { op, target }: Todo): Promise<void> {
  if (target.kind === 'KeySpace') return op === 'drop' ? dropKeySpace(work, target) : claimKeySpace(work, target)
  return op === 'drop' ? dropUser(work, target) : setUser(work, target)
}

async function read({ link, signal }: Work, doing: string, commands: readonly Command[]): Promise<unknown[]> {
  const replies = await link.pipeline(commands, signal)
  return replies.map((reply) => answer(reply, doing))
}

async function write(work: Work, doing: string, commands: readonly Command[]): Promise<void> {
  await work.write(commands, doing, work.signal, commands.length > 1)
}

/** The writer of a session that is not fenced. */
export function writeOver(link: Link): Write {
  return async (commands, doing, signal, atomic) => {
    const replies = await link.pipeline(commands, signal, atomic)
    return replies.map((reply) => answer(reply, doing))
  }
}

async function claimKeySpace(work: Work, { spec }: KeySpace): Promise<void> {
  await write(work, `claim key space ${keyPrefix(spec.name)}`, [['HSET', REGISTRY, spec.name, encodeMark(work.owner)]])
}

async function setUser(work: Work, { spec }: User): Promise<void> {
  const doing = `set ACL user ${spec.login}`
  const table = await tableOf(work.link, work.server, work.signal)
  const args = setUserArgs(work.owner, spec, work.secrets(spec.login), table)
  const commands: Command[] = [['ACL', 'SETUSER', spec.login, ...args]]
  // Switching a user off leaves its connections alone. In one transaction, or a kill in between would leave them for good.
  if (!spec.enabled) commands.push(['CLIENT', 'KILL', 'USER', spec.login])
  await write(work, doing, commands)
  await work.save()
}

/**
 * Disarmed first and removed second, each saved: whatever file survives a kill, it never holds a working login of a tenant
 * that nobody looks after any more. The key space is claimed once more before its last user goes, because that user's mark
 * may be the only claim that is left.
 */
async function dropUser(work: Work, { spec }: User): Promise<void> {
  const doing = `drop ACL user ${spec.login}`
  const [found, claim] = await read(work, doing, [
    ['ACL', 'GETUSER', spec.login],
    ['HGET', REGISTRY, spec.name],
  ])
  const user = parseGetUser(spec.login, found)
  const mark = user?.mark ?? decodeMark(claim as string | null)
  if (!user || !mark || !sameOwner(work.owner, mark)) return
  const disarm: Command[] = [
    ['HSETNX', REGISTRY, spec.name, encodeMark(work.owner)],
    ['ACL', 'SETUSER', spec.login, ...disarmArgs(work.owner, spec.name)],
    ['CLIENT', 'KILL', 'USER', spec.login],
  ]
  await write(work, doing, disarm)
  await work.save()
  await write(work, doing, [['ACL', 'DELUSER', spec.login]])
  await work.save()
}

/** Looks at every key of the database once: Redis has no index by prefix. The claim goes last, so that a kill is resumed. */
async function dropKeySpace(work: Work, { spec }: KeySpace): Promise<void> {
  const doing = `drop key space ${keyPrefix(spec.name)}`
  const [claim] = await read(work, doing, [['HGET', REGISTRY, spec.name]])
  const mark = decodeMark(claim as string | null)
  if (!mark || !sameOwner(work.owner, mark)) return
  const pattern = `${globEscape(keyPrefix(spec.name))}*`
  let cursor = '0'
  do {
    const [scan] = await read(work, doing, [['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(DROP_STEP)]])
    const [next, keys] = scan as [string, string[]]
    if (keys.length > 0) await write(work, doing, [['UNLINK', ...keys]])
    cursor = next
  } while (cursor !== '0')
  await write(work, doing, [['HDEL', REGISTRY, spec.name]])
}

/**
 * Writes the ACL file, which decides nothing and so is not fenced, where the server has one. Writing costs as much as there are users, so callers that come while one
 * save runs share the next.
 */
function saver(link: Link): () => Promise<void> {
  let running: Promise<void> | undefined
  let waiting: Promise<void> | undefined
  const start = (): Promise<void> => {
    waiting = undefined
    running = saveUsers(link).finally(() => {
      running = undefined
    })
    return running
  }
  return () => {
    if (!running) return start()
    waiting ??= running.catch(() => undefined).then(start)
    return waiting
  }
}

async function saveUsers(link: Link): Promise<void> {
  // Shared by callers, so no one caller's signal may end it; the link bounds its time.
  const [reply] = await link.pipeline([['ACL', 'SAVE']], new AbortController().signal)
  const refused = reply && 'refused' in reply ? reply.refused : ''
  if (refused === '' || /not configured to use an ACL file|NOPERM|unknown (sub)?command/i.test(refused)) return
  throw new AppError(
    'StatementFailed',
    `save the ACL file of ${link.where}: ${refused}; the users work until the server restarts: mount the file's directory, not the single file, and make it writable`,
  )
}

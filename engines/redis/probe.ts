import { randomBytes } from 'node:crypto'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Connection, ProbeLogin, Proof } from '@tenantry/engines/model.ts'
import { parseGetUser } from './acl.ts'
import { answer, type Command, type Link, openLink, type Reply, type Times } from './link.ts'
import { keyPrefix, loginName, REGISTRY } from './model.ts'

/** How many real key spaces of others a probe tries to read. */
const OTHERS = 3

/** A command and what it means when it is allowed; empty where it means nothing. */
interface Attempt {
  readonly command: Command
  readonly leak: string
}

/**
 * Logs in with the credential and tries to leave its key space: real reads, harmless real commands, and for what would
 * destroy or disturb, the server's own answer to `ACL DRYRUN`. A suspended user is isolated when its login is refused.
 */
export async function probe(
  admin: Link,
  tenant: { connection: Connection; times: Times; login: ProbeLogin },
  signal: AbortSignal,
): Promise<Proof> {
  const { login, connection, times } = tenant
  const doing = `probe ${login.login} on ${admin.where}`
  const first = await admin.pipeline(
    [
      ['ACL', 'GETUSER', login.login],
      ['HRANDFIELD', REGISTRY, String(OTHERS + 1)],
    ],
    signal,
  )
  const user = parseGetUser(login.login, answer(first[0], doing))
  const others = (answer(first[1], doing) as string[]).filter((name) => name !== login.name).slice(0, OTHERS)
  const link = openLink({ ...connection, username: login.login, password: login.password }, times)
  try {
    return await tryAll({ admin, link, login, others }, signal)
  } catch (error) {
    const off = error instanceof AppError && error.code === 'AuthenticationFailed' && user && !user.enabled
    if (off) return { verdict: 'isolated', evidence: `${login.login} is switched off and the server refused its login` }
    throw error
  } finally {
    link.close()
  }
}

interface Stage {
  readonly admin: Link
  readonly link: Link
  readonly login: ProbeLogin
  readonly others: readonly string[]
}

async function tryAll({ admin, link, login, others }: Stage, signal: AbortSignal): Promise<Proof> {
  const nobody = `tenantry_probe_${randomBytes(6).toString('hex')}`
  const own = ownCommands(login)
  const real = realAttempts(nobody, others)
  const dry = dryAttempts(login, nobody, others)
  const replies = await link.pipeline([...own, ...real.map((a) => a.command)], signal)
  own.forEach((command, i) => {
    mustWork(login, command, replies[i])
  })
  const dryReplies = await admin.pipeline(
    dry.map((a) => ['ACL', 'DRYRUN', login.login, ...a.command]),
    signal,
  )
  const leaks = [
    ...real.filter((a, i) => a.leak !== '' && !isRefused(replies[own.length + i])),
    ...dry.filter((_, i) => answer(dryReplies[i], `probe ${login.login} on ${admin.where}`) === 'OK'),
  ].map((a) => a.leak)
  if (leaks.length > 0) return { verdict: 'leaking', evidence: `${login.login}: ${leaks.slice(0, 8).join('; ')}` }
  const tried = `${real.length + dry.length} ways out of ${keyPrefix(login.name)}, ${others.length} other tenants' keys among them`
  return { verdict: 'isolated', evidence: `logged in as ${login.login}; the server refused ${tried}` }
}

function isReadOnly({ name, login }: ProbeLogin): boolean {
  return login === loginName(name, 'ReadOnly')
}

function ownCommands(login: ProbeLogin): readonly Command[] {
  const key = `${keyPrefix(login.name)}tenantry-probe`
  const read: Command[] = [['PING'], ['GET', key]]
  return isReadOnly(login) ? read : [...read, ['SET', key, '1', 'PX', '10000'], ['DEL', key]]
}

// A full or read-only server refuses a write for reasons that say nothing about isolation.
function mustWork({ login }: ProbeLogin, command: Command, reply: Reply | undefined): void {
  if (!isRefused(reply)) return
  throw new AppError(
    'PermissionDenied',
    `probe ${login}: the server refused ${command[0]} on the tenant's own key space; its ACL user is repaired by the next check`,
  )
}

// Any other complaint than these (a wrong type, no memory) comes after the check of permissions was passed.
function isRefused(reply: Reply | undefined): boolean {
  return reply !== undefined && 'refused' in reply && /^(NOPERM|NOAUTH)/.test(reply.refused)
}

/** Tried for real: they only read, or touch a key space that nobody has. */
function realAttempts(nobody: string, others: readonly string[]): readonly Attempt[] {
  const key = `${keyPrefix(nobody)}k`
  const foreign = others.map((name) => attempt(`it reads keys of ${name}`, 'GET', `${keyPrefix(name)}tenantry-probe`))
  return [
    ...foreign,
    attempt('it reads keys of other tenants', 'GET', key),
    attempt('it sees whether keys of other tenants exist', 'EXISTS', key),
    attempt('it writes keys of other tenants', 'SET', key, '1', 'PX', '1000'),
    attempt('it publishes to channels of other tenants', 'PUBLISH', key, '1'),
    attempt("SCAN lists every tenant's keys", 'SCAN', '0', 'COUNT', '1'),
    attempt("RANDOMKEY names any tenant's key", 'RANDOMKEY'),
    attempt("DBSIZE counts every tenant's keys", 'DBSIZE'),
    attempt('it may run scripts with EVAL', 'EVAL', 'return 1', '0'),
    attempt('CONFIG GET shows the configuration', 'CONFIG', 'GET', 'maxmemory'),
    attempt('ACL LIST shows all users', 'ACL', 'LIST'),
    attempt('INFO shows the server', 'INFO', 'server'),
    // Last, because it logs out: what follows is done by whoever reaches the server.
    { command: ['RESET'], leak: '' },
    attempt('without any password the server serves keys', 'GET', key),
  ]
}

/** Asked of the server and not done: they would destroy, disturb or listen. */
function dryAttempts(login: ProbeLogin, nobody: string, others: readonly string[]): readonly Attempt[] {
  const key = `${keyPrefix(nobody)}k`
  const own = `${keyPrefix(login.name)}k`
  const writes = others.map((name) => attempt(`it deletes keys of ${name}`, 'DEL', `${keyPrefix(name)}k`))
  return [
    ...writes,
    ...(isReadOnly(login) ? [attempt('it may write although it is read-only', 'SET', own, '1')] : []),
    attempt("KEYS lists every tenant's keys", 'KEYS', '*'),
    attempt("CLIENT TRACKING in broadcast mode names every tenant's keys", 'CLIENT', 'TRACKING', 'ON', 'BCAST'),
    attempt("MONITOR shows every tenant's commands", 'MONITOR'),
    attempt('it listens to channels of other tenants', 'SUBSCRIBE', key),
    attempt('it listens to all channels', 'PSUBSCRIBE', '*'),
    attempt('SORT reads keys of other tenants', 'SORT', own, 'GET', key),
    attempt('it leaves database 0', 'SELECT', '1'),
    attempt('it may delete all keys', 'FLUSHALL'),
    attempt('it may swap databases', 'SWAPDB', '0', '1'),
    attempt('it may change users', 'ACL', 'SETUSER', login.login, 'allkeys'),
    attempt('it may change the configuration', 'CONFIG', 'SET', 'maxmemory', '0'),
    attempt('it may end connections', 'CLIENT', 'KILL', 'TYPE', 'normal'),
    attempt('it may load functions', 'FUNCTION', 'FLUSH'),
    attempt('it may stop the server', 'SHUTDOWN', 'NOSAVE'),
  ]
}

function attempt(leak: string, ...command: readonly string[]): Attempt {
  return { command, leak }
}

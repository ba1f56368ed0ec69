import { stampOf } from '@tenantry/engines/fence.ts'
import type { Address, Change, Connection, Engine, Session, SessionOptions } from '@tenantry/engines/model.ts'
import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { applier, type Write, writeOver } from './apply.ts'
import { baseRules } from './commands.ts'
import { diff, keySpace } from './diff.ts'
import { openFence } from './fence.ts'
import { health } from './health.ts'
import { isolation } from './isolation.ts'
import { openLink } from './link.ts'
import {
  channelPatterns,
  checkName,
  type KeySpace,
  keyPatterns,
  keyPrefix,
  loginName,
  REGISTRY,
  type RedisResource,
  type RedisSnapshot,
  type User,
} from './model.ts'
import { observe } from './observe.ts'
import { probe } from './probe.ts'
import { serverTable } from './server-table.ts'

/**
 * Redis 7.0 and newer, isolation `Prefix`: a key space `{<name>}:` and an ACL user for each login.
 *
 * A shard is one server. ACL users are not replicated: replicas of it have none, and after a failover they are found missing
 * and made anew. Limits of a tenant (connections, memory) cannot be set on an ACL user and are not enforced here.
 */
export const redis: Engine<RedisResource, RedisSnapshot> = {
  name: 'Redis',
  connect,
  loginName,
  tenantResources({ name, suspended, logins }) {
    checkName(name)
    const users = logins.map(({ access, login, fingerprint }): User => {
      const spec = { name, login, access, enabled: !suspended, fingerprint }
      return { kind: 'User', id: `user/${login}`, spec, data: false }
    })
    return [keySpace(name), ...users]
  },
  databaseResources: () => [],
  address: ({ name }) => ({ database: '0', keyPrefix: keyPrefix(name) }),
  secretData,
  diff,
  isolation,
  schemaVersion: () => undefined,
  statements,
}

function connect(connection: Connection, options: SessionOptions): Session<RedisResource, RedisSnapshot> {
  const link = openLink(connection, options)
  const fence = options.epoch && openFence(connection, options)
  const server = serverTable()
  const places = new Semaphore(Math.max(1, options.maxConnections - (fence ? 2 : 1)))
  const writer = (): Write => {
    const stamp = stampOf(options)
    if (!fence || !stamp) return writeOver(link)
    return (commands, doing, signal) => fence.write(stamp, commands, doing, signal)
  }
  return {
    observe: (scope, signal) => observe({ link, server }, scope, signal),
    apply: applier({ link, server, writer }),
    health: (signal) => health(link, signal),
    probe: (login, signal) => places.run(() => probe(link, { connection, times: options, login }, signal)),
    close: async () => {
      link.close()
      fence?.close()
    },
  }
}

function secretData(
  connection: Connection,
  address: Address,
  { login, password }: { login: string; password: string },
): Readonly<Record<string, string>> {
  const { host, port, tls, ca } = connection
  const scheme = tls === 'off' ? 'redis' : 'rediss'
  const authority = host.includes(':') ? `[${host}]` : host
  const credentials = `${encodeURIComponent(login)}:${encodeURIComponent(password)}`
  const database = address.database ?? '0'
  return {
    type: 'redis',
    provider: 'tenantry',
    host,
    port: String(port),
    username: login,
    password,
    database,
    uri: `${scheme}://${credentials}@${authority}:${port}/${database}`,
    ...(address.keyPrefix !== undefined && { keyPrefix: address.keyPrefix }),
    ...(ca !== undefined && { 'ca.crt': ca }),
  }
}

function statements({ op, target }: Change<RedisResource>): readonly string[] {
  return target.kind === 'KeySpace' ? keySpaceStatements(op, target) : userStatements(op, target)
}

function keySpaceStatements(op: Change['op'], { spec }: KeySpace): readonly string[] {
  if (op !== 'drop') return [`HSET ${REGISTRY} ${spec.name} <ownership mark>`]
  return [`UNLINK ${keyPrefix(spec.name)}* (each key, found by SCAN)`, `HDEL ${REGISTRY} ${spec.name}`]
}

function userStatements(op: Change['op'], { spec }: User): readonly string[] {
  if (op === 'drop') return [`ACL DELUSER ${spec.login}`, 'ACL SAVE']
  const rules = [
    'reset',
    spec.enabled ? 'on' : 'off',
    '#***',
    ...keyPatterns(spec.name, spec.access),
    ...channelPatterns(spec.name),
    ...baseRules(spec.access),
    '(and no command that names no key)',
  ]
  const kill = spec.enabled ? [] : [`CLIENT KILL USER ${spec.login}`]
  return [`ACL SETUSER ${spec.login} ${rules.join(' ')}`, ...kill, 'ACL SAVE']
}

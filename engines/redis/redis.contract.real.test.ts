import { type Damage, describeContract, type Subject } from '@tenantry/engines/contract.ts'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { Owner } from '@tenantry/engines/model.ts'
import { objectName } from '@tenantry/engines/names.ts'
import { Redis } from 'ioredis'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import { redis } from './engine.ts'
import { keyPrefix, loginsOf, REGISTRY, type RedisResource } from './model.ts'

const OPTIONS = { installation: 'contract', connectTimeoutMs: 5_000, statementTimeoutMs: 10_000, maxConnections: 4 }

interface Plan {
  readonly title: string
  readonly tenant: string
  readonly name: string
  readonly accesses: readonly ('ReadWrite' | 'ReadOnly')[]
  readonly lookalike: (admin: Redis, name: string) => Promise<unknown>
}

function subjectOf(admin: Redis, { title, tenant, name, accesses, lookalike }: Plan): Subject<RedisResource> {
  const owner: Owner = {
    installation: OPTIONS.installation,
    kind: 'Tenant',
    namespace: 'lab',
    name: tenant,
    uid: freshSuffix(),
  }
  const passwords = new Map(accesses.map((access) => [redis.loginName(name, access), newPassword()]))
  const logins = accesses.map((access) => {
    const login = redis.loginName(name, access)
    return { access, login, fingerprint: fingerprint(login, passwords.get(login) ?? '') }
  })
  const wanted = redis.tenantResources({
    isolation: 'Prefix',
    name,
    tenantId: name,
    shared: 'd_x',
    suspended: false,
    logins,
    limits: {},
    files: [],
  })
  const key = `${keyPrefix(name)}order:1`
  const remove = async (): Promise<void> => {
    await admin.call('ACL', 'DELUSER', ...loginsOf(name))
    await admin.hdel(REGISTRY, name)
    await admin.del(key)
  }
  return {
    title,
    owner,
    scope: [name],
    wanted,
    secrets: (login) => passwords.get(login) ?? '',
    damages: damagesOf(admin, name),
    lookalike: async () => {
      await lookalike(admin, name)
      return remove
    },
    data: {
      write: () => admin.set(key, 'paid').then(() => undefined),
      isThere: async () => (await admin.get(key)) === 'paid',
    },
    isGone: async () => {
      const users = (await admin.call('ACL', 'USERS')) as string[]
      const keys = (await admin.keys('*')).filter((k) => k.startsWith(keyPrefix(name)))
      return (
        keys.length === 0 && !users.some((u) => loginsOf(name).includes(u)) && !(await admin.hexists(REGISTRY, name))
      )
    },
  }
}

function damagesOf(admin: Redis, name: string): readonly Damage[] {
  const setUser = (title: string, ...rules: string[]): Damage => ({
    name: title,
    inflict: () => admin.call('ACL', 'SETUSER', name, ...rules).then(() => undefined),
  })
  return [
    { name: 'the user was deleted', inflict: () => admin.call('ACL', 'DELUSER', name).then(() => undefined) },
    { name: 'the registry entry was removed', inflict: () => admin.hdel(REGISTRY, name).then(() => undefined) },
    {
      name: 'user and registry entry were removed',
      inflict: async () => {
        await admin.call('ACL', 'DELUSER', ...loginsOf(name))
        await admin.hdel(REGISTRY, name)
      },
    },
    setUser('a password was added', '>another'),
    setUser('the password was replaced', 'resetpass', '>another'),
    setUser('the passwords were removed', 'resetpass'),
    setUser('no password is needed any more', 'nopass'),
    setUser('the user was switched off', 'off'),
    setUser('a key pattern was added', '~{another}:*'),
    setUser('all keys were opened', 'resetkeys', '~*'),
    setUser('a channel pattern was added', '&{another}:*'),
    setUser('the channels were closed', 'resetchannels'),
    setUser('a command was added', '+config|get'),
    setUser('a command was taken away', '-get'),
    setUser('all commands were allowed', '+@all'),
    setUser('a first-argument rule was added', '+select|0'),
    setUser('a selector was added', '(+get ~{another}:*)'),
    setUser('the user was made anew by hand', 'reset', 'on', '>another', '~*', '+@all'),
  ]
}

const HOSTILE = `"'; FLUSHALL -- *?[^a]\\{}ü漢字 ${'x'.repeat(253)}`.slice(0, 253)

describeContract('redis', async () => {
  const { redis: connection } = useStack()
  const { host, port, username = '', password = '' } = connection
  const admin = new Redis({ host, port, username, password })
  const plain = (): Plan => {
    const tenant = `acme-${freshSuffix()}`
    const name = objectName({ namespace: 'lab', name: tenant }, { namespace: 'lab', name: 'cache' })
    const lookalike = (a: Redis, n: string) => a.call('ACL', 'SETUSER', n, 'on', '>secret', '~*', '+@all')
    return { title: 'plain', tenant, name, accesses: ['ReadWrite', 'ReadOnly'], lookalike }
  }
  // The engine-side name is worse here than names.ts would ever make it: glob characters, quotes, unicode, a user's sigils.
  const hostile = (): Plan => {
    const name = `t_*?[^a]\\"';~&%#+@ü漢字_${freshSuffix()}`
    const lookalike = (a: Redis, n: string) => a.set(`${keyPrefix(n)}order:1`, 'of somebody')
    return { title: 'hostile', tenant: HOSTILE, name, accesses: ['ReadWrite'], lookalike }
  }
  return {
    engine: redis,
    connect: async (fencing) => redis.connect(connection, { ...OPTIONS, ...fencing }),
    subjects: [async () => subjectOf(admin, plain()), async () => subjectOf(admin, hostile())],
    close: async () => {
      admin.disconnect()
    },
  }
})

import { AppError } from '@tenantry/crds/errors.ts'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { Batch, Change, Owner, Session } from '@tenantry/engines/model.ts'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import { redis } from './engine.ts'
import { keyPrefix, REGISTRY, type RedisResource, type RedisSnapshot, type User } from './model.ts'

const OPTIONS = { installation: 'session', connectTimeoutMs: 5_000, statementTimeoutMs: 10_000, maxConnections: 3 }
const signal = AbortSignal.timeout(600_000)

interface Tenant {
  readonly name: string
  readonly owner: Owner
  readonly passwords: ReadonlyMap<string, string>
  readonly resources: (suspended: boolean) => readonly RedisResource[]
}

function tenant(): Tenant {
  const name = `t_session_${freshSuffix()}`
  const owner: Owner = { installation: 'session', kind: 'Tenant', namespace: 'lab', name, uid: '1' }
  const accesses = ['ReadWrite', 'ReadOnly'] as const
  const passwords = new Map(accesses.map((access) => [redis.loginName(name, access), newPassword()]))
  const logins = accesses.map((access) => {
    const login = redis.loginName(name, access)
    return { access, login, fingerprint: fingerprint(login, passwords.get(login) ?? '') }
  })
  const resources = (suspended: boolean): readonly RedisResource[] =>
    redis.tenantResources({
      isolation: 'Prefix',
      name,
      tenantId: name,
      shared: '',
      suspended,
      logins,
      limits: {},
      files: [],
    })
  return { name, owner, passwords, resources }
}

let session: Session<RedisResource, RedisSnapshot>
let admin: Redis
const made: Tenant[] = []

const secretsOf =
  (t: Tenant): Batch['secrets'] =>
  (login) =>
    t.passwords.get(login) ?? ''

async function bring(t: Tenant, wanted: readonly RedisResource[]): Promise<readonly Change<RedisResource>[]> {
  const changes = redis.diff(t.owner, wanted, await session.observe([t.name], signal))
  const applied = await session.apply({ owner: t.owner, changes, secrets: secretsOf(t) }, signal)
  if (applied.failed) throw applied.failed.error
  return changes
}

async function created(): Promise<Tenant> {
  const t = tenant()
  made.push(t)
  await bring(t, t.resources(false))
  return t
}

const probeLogin = (t: Tenant, access: 'ReadWrite' | 'ReadOnly') => {
  const login = redis.loginName(t.name, access)
  return { owner: t.owner, name: t.name, login, password: t.passwords.get(login) ?? '' }
}

beforeAll(async () => {
  const { host, port, username = '', password = '' } = useStack().redis
  admin = new Redis({ host, port, username, password })
  session = redis.connect(useStack().redis, OPTIONS)
})

afterAll(async () => {
  for (const t of made) await bring(t, [])
  await session.close()
  admin.disconnect()
})

describe('the probe', () => {
  test('proves both logins isolated and says what was tried', async () => {
    const [a] = [await created(), await created()]
    for (const access of ['ReadWrite', 'ReadOnly'] as const) {
      const proof = await session.probe(probeLogin(a, access), signal)
      expect(proof.verdict, proof.evidence).toBe('isolated')
      expect(proof.evidence).toMatch(/refused \d+ ways out/)
    }
    expect(await admin.exists(`${keyPrefix(a.name)}tenantry-probe`)).toBe(0)
    expect(redis.isolation(a.owner, await session.observe([a.name], signal)).verdict).toBe('isolated')
  })

  test.each([
    ['all keys', ['~*'], /reads keys/, /reaches keys ~\*/],
    ['all channels', ['&*'], /publishes to channels/, /reaches channels &\*/],
    ['SCAN', ['+scan'], /SCAN lists/, /may run scan/],
    ['EVAL', ['+eval'], /EVAL/, /may run eval/],
    ['broadcast tracking', ['+client|tracking'], /TRACKING/, /client\|tracking/],
    ['FLUSHALL', ['+flushall'], /delete all keys/, /may run flushall/],
    ['a selector', ['(+get ~*)'], /reads keys/, /further rule set/],
  ])('catches a user that was given %s', async (_, rules, inProbe, inSnapshot) => {
    const t = await created()
    await admin.call('ACL', 'SETUSER', t.name, ...rules)
    const proof = await session.probe(probeLogin(t, 'ReadWrite'), signal)
    expect(proof).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(inProbe) })
    const pure = redis.isolation(t.owner, await session.observe([t.name], signal))
    expect(pure).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(inSnapshot) })
  })

  test('catches a read-only user that may write, and one that needs no password', async () => {
    const t = await created()
    const readOnly = redis.loginName(t.name, 'ReadOnly')
    await admin.call('ACL', 'SETUSER', readOnly, '+set', `~${keyPrefix(t.name)}*`)
    expect((await session.probe(probeLogin(t, 'ReadOnly'), signal)).evidence).toMatch(/may write although/)
    await admin.call('ACL', 'SETUSER', t.name, 'nopass')
    expect(redis.isolation(t.owner, await session.observe([t.name], signal)).evidence).toMatch(/needs no password/)
  })

  test('takes the refusal of a suspended login as isolation, and any other refusal as an error', async () => {
    const t = await created()
    const wrong = { ...probeLogin(t, 'ReadWrite'), password: 'wrong' }
    await expect(session.probe(wrong, signal)).rejects.toMatchObject({ code: 'AuthenticationFailed' })
    await bring(t, t.resources(true))
    expect(await session.probe(probeLogin(t, 'ReadWrite'), signal)).toMatchObject({ verdict: 'isolated' })
  })
})

describe('a session', () => {
  test('ends the connections of a suspended tenant, keeps its data, and lets it in again afterwards', async () => {
    const t = await created()
    const { host, port } = useStack().redis
    const password = t.passwords.get(t.name) ?? ''
    const client = new Redis({
      host,
      port,
      username: t.name,
      password,
      enableReadyCheck: false,
      retryStrategy: () => null,
    })
    client.on('error', () => undefined)
    const key = `${keyPrefix(t.name)}k`
    await client.set(key, '1')
    const ended = new Promise((resolve) => client.once('end', resolve))
    const plan = await bring(t, t.resources(true))
    expect(plan.map((c) => c.summary)).toEqual([`alter user ${t.name}: state`, `alter user ${t.name}_ro: state`])
    await ended
    expect(await admin.get(key)).toBe('1')
    await bring(t, t.resources(false))
    const again = new Redis({ host, port, username: t.name, password, enableReadyCheck: false })
    expect(await again.get(key)).toBe('1')
    again.disconnect()
  })

  test('gives credentials in Service Binding shape whose URI logs in', async () => {
    const t = await created()
    const { redis: connection } = useStack()
    const address = redis.address({ isolation: 'Prefix', name: t.name, shared: '' }, connection)
    const login = { login: t.name, password: t.passwords.get(t.name) ?? '' }
    const data = redis.secretData(connection, address, login)
    expect(data).toMatchObject({
      type: 'redis',
      provider: 'tenantry',
      username: t.name,
      database: '0',
      keyPrefix: `{${t.name}}:`,
    })
    const client = new Redis(data.uri ?? '', { enableReadyCheck: false, keyPrefix: data.keyPrefix ?? '' })
    expect(await client.set('greeting', 'hello')).toBe('OK')
    expect(await client.get('greeting')).toBe('hello')
    client.disconnect()
  })

  test('drops many keys in steps, with glob characters in their names, and none of a neighbour', async () => {
    const [t, neighbour] = [await created(), await created()]
    const fill = admin.pipeline()
    for (let i = 0; i < 5_000; i++) fill.set(`${keyPrefix(t.name)}*?[${i}]`, '1')
    fill.set(`${keyPrefix(neighbour.name)}k`, '1').set(`${t.name}:k`, '1')
    await fill.exec()
    await bring(t, [])
    const left = await admin.keys(`*${t.name}*`)
    expect(left).toEqual([`${t.name}:k`])
    expect(await admin.get(`${keyPrefix(neighbour.name)}k`)).toBe('1')
    await admin.del(`${t.name}:k`)
  })

  test('keeps a claim on data whose registry entry was lost when the last login goes', async () => {
    const t = await created()
    await admin.set(`${keyPrefix(t.name)}k`, '1')
    await admin.hdel(REGISTRY, t.name)
    const drops = redis.diff(t.owner, [], await session.observe([t.name], signal))
    expect(drops.map((c) => c.target.kind)).toEqual(['User', 'User', 'KeySpace'])
    const users = drops.filter((c) => !c.target.data)
    await session.apply({ owner: t.owner, changes: users, secrets: secretsOf(t) }, signal)
    expect(redis.diff(t.owner, [], await session.observe([t.name], signal)).map((c) => c.risk)).toEqual(['destructive'])
    await bring(t, [])
    expect(await admin.exists(`${keyPrefix(t.name)}k`)).toBe(0)
  })

  test('drops only what belongs to the wanted base names when a whole shard was read', async () => {
    const [a, b] = [await created(), await created()]
    const sameOwner = { ...b, owner: a.owner }
    await admin.hdel(REGISTRY, b.name)
    await admin.call('ACL', 'DELUSER', b.name, `${b.name}_ro`)
    await bring(sameOwner, b.resources(false))
    const whole = await session.observe('all', signal)
    expect(redis.diff(a.owner, a.resources(false), whole)).toEqual([])
    await bring(sameOwner, [])
  })

  test('shows neither passwords nor hashes in plans, statements, snapshots and errors', async () => {
    const t = await created()
    const found = await session.observe([t.name], signal)
    const shown = JSON.stringify([...found.users.values(), redis.diff(t.owner, [], found), t.resources(false)])
    const [change] = redis.diff(t.owner, t.resources(true), found)
    const statements = change ? redis.statements(change).join('\n') : ''
    for (const password of t.passwords.values()) expect(shown + statements).not.toContain(password)
    expect(shown + statements).not.toMatch(/[0-9a-f]{64}/)
    const bad = t.resources(false).find((r) => r.kind === 'User') as User
    const broken: User = { ...bad, spec: { ...bad.spec, login: 'white space' } }
    const changes = [
      { op: 'create', target: broken, risk: 'safe', fields: [], summary: 'create user white space' },
    ] as const
    const { failed } = await session.apply({ owner: t.owner, changes, secrets: () => 'hush-hush' }, signal)
    expect(failed?.error).toBeInstanceOf(AppError)
    expect(JSON.stringify([failed?.error, failed?.error.message, failed?.error.cause])).not.toMatch(/hush|[0-9a-f]{64}/)
  })

  test.each(['', 'with space', 'brace}', 'brace{', 'line\nend'])('refuses the impossible base name %j', (name) => {
    const input = {
      isolation: 'Prefix',
      name,
      tenantId: name,
      shared: '',
      suspended: false,
      logins: [],
      limits: {},
      files: [],
    } as const
    expect(() => redis.tenantResources(input)).toThrow(expect.objectContaining({ code: 'InvalidSpec' }))
  })
})

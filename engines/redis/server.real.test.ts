import { rm } from 'node:fs/promises'
import { fingerprint, newPassword } from '@tenantry/engines/credential.ts'
import type { Applied, Change, Owner, Session } from '@tenantry/engines/model.ts'
import { describe, expect, test } from 'vitest'
import { redis } from './engine.ts'
import { keyPrefix, REGISTRY, type RedisResource, type RedisSnapshot } from './model.ts'
import { ownServer } from './own-server.ts'

const owner: Owner = { installation: 'server', kind: 'Tenant', namespace: 'lab', name: 'acme', uid: '1' }
const name = 't_acme_00000001'
const secret = newPassword()
const signal = AbortSignal.timeout(600_000)

const wanted = (suspended = false, base = name): readonly RedisResource[] =>
  redis.tenantResources({
    isolation: 'Prefix',
    name: base,
    tenantId: base,
    shared: '',
    suspended,
    logins: [{ access: 'ReadWrite', login: base, fingerprint: fingerprint(base, secret) }],
    limits: {},
    files: [],
  })

type OwnSession = Session<RedisResource, RedisSnapshot>

async function plan(session: OwnSession, want = wanted()): Promise<readonly Change<RedisResource>[]> {
  return redis.diff(owner, want, await session.observe([name], signal))
}

async function bring(session: OwnSession, want = wanted()): Promise<Applied<RedisResource>> {
  return session.apply({ owner, changes: await plan(session, want), secrets: () => secret }, signal)
}

const summaries = (changes: readonly Change<RedisResource>[]): readonly string[] => changes.map((c) => c.summary)

describe('after a restart', () => {
  test('a server without files is found empty by the same session and brought back', async () => {
    const { session, restart } = await ownServer()
    await bring(session)
    await restart()
    await expect
      .poll(() =>
        session.health(signal).then(
          (h) => h.version,
          () => '',
        ),
      )
      .toMatch(/^\d+\.\d+/)
    expect(summaries(await plan(session))).toEqual([`create key space ${keyPrefix(name)}`, `create user ${name}`])
    await bring(session)
    expect(await plan(session)).toEqual([])
  })

  test('users of an ACL file are known as ours although the registry was lost', async () => {
    const { session, restart } = await ownServer('aclfile DIR/users.acl')
    await bring(session)
    await restart()
    await expect
      .poll(() =>
        session.health(signal).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
    expect(summaries(await plan(session))).toEqual([`create key space ${keyPrefix(name)}`])
  })

  test('a dropped user does not come back from the ACL file, nor does a suspended one log in', async () => {
    const { session, restart, admin } = await ownServer('aclfile DIR/users.acl')
    await bring(session)
    await bring(session, wanted(true))
    await restart()
    expect(await admin.call('ACL', 'GETUSER', name)).toContainEqual(expect.arrayContaining(['off']))
    await bring(session, [])
    await restart()
    expect(await admin.call('ACL', 'GETUSER', name)).toBeNull()
  })
})

describe('many tenants at once', () => {
  test('share the writing of the ACL file, and all of them are in it', async () => {
    const { session, restart, admin } = await ownServer('aclfile DIR/users.acl')
    const names = Array.from({ length: 40 }, (_, i) => `t_many_${i}`)
    await Promise.all(
      names.map(async (base) => {
        const mine = { ...owner, name: base }
        const changes = redis.diff(mine, wanted(false, base), await session.observe([base], signal))
        const { failed } = await session.apply({ owner: mine, changes, secrets: () => secret }, signal)
        expect(failed).toBeUndefined()
      }),
    )
    const saves = Number(/cmdstat_acl\|save:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1])
    expect(saves).toBeLessThan(names.length)
    await restart()
    expect(await admin.call('ACL', 'USERS')).toEqual(expect.arrayContaining(names))
  })
})

describe('the cost of looking', () => {
  test('is the same number of commands for one tenant and for two hundred, and none of them writes', async () => {
    const { session, admin } = await ownServer()
    await bring(session)
    await session.observe('all', signal)
    const commandsOf = async (work: () => Promise<unknown>): Promise<Record<string, number>> => {
      await admin.config('RESETSTAT')
      await work()
      const stats = [...(await admin.info('commandstats')).matchAll(/cmdstat_(\S+?):calls=(\d+)/g)]
      return Object.fromEntries(stats.map((m) => [m[1], Number(m[2])]).filter(([c]) => c !== 'config|resetstat'))
    }
    const look = async (): Promise<unknown> => redis.diff(owner, wanted(), await session.observe('all', signal))
    const expected = { info: 1, 'command|count': 1, 'acl|list': 1, hgetall: 1 }
    expect(await commandsOf(look)).toEqual(expected)
    const many = admin.pipeline()
    for (let i = 0; i < 200; i++) many.call('ACL', 'SETUSER', `t_many_${i}`, 'off').hset(REGISTRY, `t_many_${i}`, 'x')
    await many.exec()
    expect(await commandsOf(look)).toEqual(expected)
    expect(await look()).toEqual([])
    expect(await commandsOf(() => bring(session))).toEqual({ info: 1, 'command|count': 1, 'acl|getuser': 3, hmget: 1 })
  })
})

describe('health', () => {
  test('shows version, memory, number of keys and connections', async () => {
    const { session, admin } = await ownServer()
    await admin.mset('a', '1', 'b', '2')
    expect(await session.health(signal)).toMatchObject({
      version: expect.stringMatching(/^[7-9]\./),
      sizeBytes: expect.any(Number),
      tables: 2,
      connections: 2,
      accessControl: true,
    })
  })

  test('says that a cluster cannot be a shard', async () => {
    const { session } = await ownServer('cluster-enabled yes')
    await expect(session.health(signal)).rejects.toMatchObject({ code: 'Unsupported', message: /Redis Cluster/ })
  })
})

describe('a server without a password', () => {
  test('is never called isolated', async () => {
    const { session } = await ownServer('protected-mode no', null)
    await bring(session)
    const pure = redis.isolation(owner, await session.observe([name], signal))
    expect(pure).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(/default needs no password/) })
    const proof = await session.probe({ owner, name, login: name, password: secret }, signal)
    expect(proof).toMatchObject({ verdict: 'leaking', evidence: expect.stringMatching(/without any password/) })
  })
})

describe('trouble while applying', () => {
  test('a full server, a replica and a broken ACL file each say so, and nothing is lost track of', async () => {
    const { session, admin, dir } = await ownServer('aclfile DIR/users.acl')
    await admin.config('SET', 'maxmemory', '1')
    expect((await bring(session)).failed?.error).toMatchObject({ code: 'OutOfSpace' })
    await admin.config('SET', 'maxmemory', '0')
    await admin.replicaof('127.0.0.1', 1)
    expect((await bring(session)).failed?.error).toMatchObject({ code: 'ServerReadOnly' })
    await admin.replicaof('NO', 'ONE')
    await rm(dir, { recursive: true })
    expect((await bring(session)).failed?.error).toMatchObject({ code: 'StatementFailed', message: /ACL file/ })
    expect(await plan(session)).toEqual([])
  })

  test('a tenant can be probed on a server that has no memory left', async () => {
    const { session, admin } = await ownServer()
    await bring(session)
    await admin.config('SET', 'maxmemory', '1')
    expect(await session.probe({ owner, name, login: name, password: secret }, signal)).toMatchObject({
      verdict: 'isolated',
    })
  })
})

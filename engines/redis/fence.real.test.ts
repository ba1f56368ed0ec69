import type { Change, Owner, Session, SessionOptions } from '@tenantry/engines/model.ts'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import { applier, type Write } from './apply.ts'
import { redis } from './engine.ts'
import { fenceKey, openFence } from './fence.ts'
import { openLink } from './link.ts'
import { keyPrefix, type RedisResource, type RedisSnapshot } from './model.ts'
import { ownServer } from './own-server.ts'
import { serverTable } from './server-table.ts'

type RedisSession = Session<RedisResource, RedisSnapshot>

const OPTIONS = { installation: 'fenced', connectTimeoutMs: 5_000, statementTimeoutMs: 10_000, maxConnections: 4 }
const signal = AbortSignal.timeout(600_000)

let admin: Redis

beforeAll(() => {
  const { host, port, username = '', password = '' } = useStack().redis
  admin = new Redis({ host, port, username, password })
})

afterAll(() => admin.disconnect())

function session(options: Partial<SessionOptions>, connection = useStack().redis): RedisSession {
  const made = redis.connect(connection, { ...OPTIONS, ...options })
  onTestFinished(() => made.close())
  return made
}

/** A fence that no other test has; its key goes with the test. */
function freshFence(): string {
  const fence = `test-${freshSuffix()}`
  onTestFinished(async () => {
    await admin.del(fenceKey(fence))
  })
  return fence
}

interface Tenant {
  readonly name: string
  readonly owner: Owner
  readonly wanted: readonly RedisResource[]
}

function tenant(): Tenant {
  const name = `t_fence_${freshSuffix()}`
  const owner: Owner = { installation: OPTIONS.installation, kind: 'Tenant', namespace: 'lab', name, uid: '1' }
  const login = { access: 'ReadWrite', login: name, fingerprint: 'f' } as const
  const rest = { tenantId: name, shared: '', suspended: false, limits: {}, files: [] }
  return { name, owner, wanted: redis.tenantResources({ isolation: 'Prefix', name, logins: [login], ...rest }) }
}

async function plan(by: RedisSession, t: Tenant, wanted = t.wanted): Promise<readonly Change<RedisResource>[]> {
  return redis.diff(t.owner, wanted, await by.observe([t.name], signal))
}

/** The code of the failure, or `done`. */
async function outcome(by: RedisSession, t: Tenant, changes: readonly Change<RedisResource>[]): Promise<string> {
  const { failed } = await by.apply({ owner: t.owner, changes, secrets: () => 'secret' }, signal)
  return failed?.error.code ?? 'done'
}

async function make(by: RedisSession, t: Tenant, wanted = t.wanted): Promise<string> {
  return await outcome(by, t, await plan(by, t, wanted))
}

async function fill(t: Tenant, keys: number): Promise<void> {
  const pipeline = admin.pipeline()
  for (let i = 0; i < keys; i++) pipeline.set(`${keyPrefix(t.name)}${i}`, '1')
  await pipeline.exec()
}

describe('the fence of Redis', () => {
  test('stores the epoch of the writer, and says to a refused one which epoch took its place', async () => {
    const fence = freshFence()
    const [four, five] = [session({ fence, epoch: () => 4 }), session({ fence, epoch: () => 5 })]
    const [a, b] = [tenant(), tenant()]
    expect(await make(four, a)).toBe('done')
    expect(await admin.get(fenceKey(fence))).toBe('4')
    expect(await make(five, b)).toBe('done')
    expect(await admin.get(fenceKey(fence))).toBe('5')
    const changes = await plan(four, a, [])
    const { done, failed } = await four.apply({ owner: a.owner, changes, secrets: () => '' }, signal)
    expect(done).toEqual([])
    expect(failed?.error).toMatchObject({
      code: 'Fenced',
      message: expect.stringContaining(`epoch 4 of ${fence} is over`),
    })
    expect(await make(five, a, [])).toBe('done')
    expect(await make(five, b, [])).toBe('done')
  })

  test('is that of the installation, unless it has a name of its own, and none without an epoch', async () => {
    const installation = freshFence()
    const t = tenant()
    expect(await make(session({ installation }), t)).toBe('done')
    expect(await admin.exists(fenceKey(installation))).toBe(0)
    expect(await make(session({ installation, epoch: () => 1_800_000_000_000 }), t, [])).toBe('done')
    expect(await admin.get(fenceKey(installation))).toBe('1800000000000')
    expect(await make(session({ installation: freshFence(), epoch: () => 1 }), t)).toBe('done')
    expect(await make(session({ installation }), t, [])).toBe('done')
  })

  test('is left alone by looking, by health and by a batch without changes', async () => {
    const fence = freshFence()
    const by = session({ fence, epoch: () => 7 })
    const t = tenant()
    await by.health(signal)
    expect(await outcome(by, t, [])).toBe('done')
    await plan(by, t)
    expect(await admin.exists(fenceKey(fence))).toBe(0)
  })

  test('stops the dropping of a key space between two slices', async () => {
    const stamp = { fence: freshFence(), epoch: 4 }
    const { redis: connection } = useStack()
    const five = session({ fence: stamp.fence, epoch: () => 5 })
    const [fence, link] = [openFence(connection, OPTIONS), openLink(connection, OPTIONS)]
    const [t, other] = [tenant(), tenant()]
    await make(session({ fence: stamp.fence, epoch: () => 4 }), t)
    await fill(t, 5_000)
    const plans = await plan(five, t, [])
    let slices = 0
    const write: Write = async (commands, doing, until) => {
      if (commands[0]?.[0] === 'UNLINK' && ++slices === 3) expect(await make(five, other)).toBe('done')
      return await fence.write(stamp, commands, doing, until)
    }
    const old = applier({ link, server: serverTable(), writer: () => write })
    const { done, failed } = await old({ owner: t.owner, changes: plans, secrets: () => '' }, signal)
    expect([done.length, failed?.error.code]).toEqual([plans.length - 1, 'Fenced'])
    const left = await countOf(t)
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(5_000)
    expect(await make(five, t, [])).toBe('done')
    expect(await countOf(t)).toBe(0)
    expect(await make(five, other, [])).toBe('done')
    for (const end of [fence, link]) end.close()
  })

  test('fails the transaction of a writer that looked before the epoch was raised', async () => {
    const fence = freshFence()
    const four = session({ fence, epoch: () => 4 })
    const t = tenant()
    expect(await make(four, t)).toBe('done')
    // The key is still watched since the last write: nothing asks for it before the next EXEC.
    await admin.set(fenceKey(fence), '5')
    expect(await make(four, t, [])).toBe('Fenced')
    expect(await plan(four, t)).toEqual([])
    await admin.set(fenceKey(fence), '4')
    expect(await make(four, t, [])).toBe('done')
  })

  test('keeps writers of one session apart, each with its own answers', async () => {
    const by = session({ fence: freshFence(), epoch: () => 4 })
    const many = Array.from({ length: 40 }, tenant)
    expect(new Set(await Promise.all(many.map((t) => make(by, t))))).toEqual(new Set(['done']))
    for (const t of many) expect(await plan(by, t)).toEqual([])
    expect(new Set(await Promise.all(many.map((t) => make(by, t, []))))).toEqual(new Set(['done']))
  })

  test('lets a command that the server refuses harm none of those that share its transaction', async () => {
    const stamp = { fence: freshFence(), epoch: 4 }
    const fence = openFence(useStack().redis, OPTIONS)
    onTestFinished(() => fence.close())
    const key = `tenantry:test:${stamp.fence}`
    const write = (...commands: string[][]) =>
      fence.write(stamp, commands, 'write', signal).catch(({ code, message }) => ({ code, message }))
    const results = await Promise.all([
      write(['SET', key, '1']),
      write(['INCR', key], ['INCR', key]),
      write(['NO-SUCH-COMMAND']),
      write(['LPUSH', key, 'wrong type']),
      write(['INCR', key], ['GET', key]),
    ])
    expect(results).toEqual([
      ['OK'],
      [2, 3],
      { code: 'Unsupported', message: expect.stringContaining('NO-SUCH-COMMAND') },
      { code: 'StatementFailed', message: expect.stringContaining('WRONGTYPE') },
      [4, '4'],
    ])
    await admin.del(key)
  })

  test('refuses to guess what a foreign value in its key means, and an epoch that is none', async () => {
    const fence = freshFence()
    const by = session({ fence, epoch: () => 4 })
    const t = tenant()
    await admin.set(fenceKey(fence), 'mine')
    expect(await make(by, t)).toBe('StatementFailed')
    await admin.del(fenceKey(fence))
    await admin.lpush(fenceKey(fence), 'mine')
    expect(await make(by, t)).toBe('StatementFailed')
    expect(await plan(by, t)).toHaveLength(2)
    expect(await make(session({ fence, epoch: () => Number.NaN }), t)).toBe('Internal')
  })

  test('holds after a restart of the server, which ends the connection that watches', async () => {
    const server = await ownServer('appendonly yes\nappendfsync always')
    const by = (epoch: number): RedisSession => session({ fence: 'f', epoch: () => epoch }, server.connection)
    const [four, five] = [by(4), by(5)]
    const t = tenant()
    expect(await make(four, t)).toBe('done')
    await server.restart()
    expect(await make(five, t)).toBe('done')
    expect(await make(four, t, [])).toBe('Fenced')
    await server.restart()
    expect(await make(four, t, [])).toBe('Fenced')
  })

  test('costs one round trip for each write, like writing without it', async () => {
    const fence = freshFence()
    const by = session({ fence, epoch: () => 4 })
    const t = tenant()
    await make(by, t)
    const monitor = await admin.monitor()
    const seen: string[] = []
    monitor.on('monitor', (_time: string, args: string[]) => seen.push(args[0]?.toUpperCase() ?? ''))
    const [drop] = await plan(by, t, [])
    expect(await outcome(by, t, drop ? [drop] : [])).toBe('done')
    await expect.poll(() => seen.filter((name) => name === 'EXEC').length).toBeGreaterThan(0)
    monitor.disconnect()
    const count = (name: string): number => seen.filter((s) => s === name).length
    // Each transaction has its look behind it: there is none before the first.
    expect(count('WATCH')).toBe(count('EXEC'))
    expect(count('UNWATCH')).toBe(0)
    expect(await make(by, t, [])).toBe('done')
  })
})

async function countOf(t: Tenant): Promise<number> {
  let [cursor, count] = ['0', 0]
  do {
    const [next, keys] = await admin.scan(cursor, 'MATCH', `${keyPrefix(t.name)}*`, 'COUNT', 10_000)
    cursor = next
    count += keys.length
  } while (cursor !== '0')
  return count
}

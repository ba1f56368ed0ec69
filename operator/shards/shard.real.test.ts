import { createServer } from 'node:net'
import type { Change, Connection, Owner } from '@tenantry/engines/model.ts'
import { redis } from '@tenantry/engines/redis/engine.ts'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import { systemClock } from '../clock.ts'
import { Shard } from './shard.ts'

const signal = AbortSignal.timeout(60_000)

function connect(connection: Connection = useStack().redis, coolDownMs = 60_000) {
  const calls: string[] = []
  const installation = `test-${freshSuffix()}`
  const session = redis.connect(connection, {
    installation,
    connectTimeoutMs: 500,
    statementTimeoutMs: 5_000,
    maxConnections: 2,
  })
  const shard = new Shard({
    id: 'ns/db/s0',
    engine: redis,
    connection,
    session,
    clock: systemClock,
    maxConcurrentApplies: 2,
    coolDownMs,
    onCall: ({ op, ok }) => calls.push(ok ? op : `${op} failed`),
  })
  onTestFinished(() => shard.close())
  const owner: Owner = { installation, kind: 'Tenant', namespace: 'ns', name: 'acme', uid: 'u1' }
  return { shard, calls, owner }
}

function acme(owner: Owner) {
  const name = `t_acme_${owner.installation.slice(-8)}`
  const logins = [
    { access: 'ReadWrite' as const, login: redis.loginName(name, 'ReadWrite'), fingerprint: 'f'.repeat(16) },
  ]
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
  return { name, wanted }
}

describe('a shard', () => {
  test('is read once for all its tenants, and the snapshot tells nothing of names that were written to since', async () => {
    const { shard, calls, owner } = connect()
    const { name, wanted } = acme(owner)
    const found = await shard.read([name], signal)
    const batch = { owner, changes: redis.diff(owner, wanted, found as never), secrets: () => 'p'.repeat(40) }
    const apply = (changes: readonly Change[]) => shard.apply(() => ({ ...batch, changes }), [name], signal)
    await shard.resync(async (known) => {
      expect(known([name])).toBe(known(['t_other']))
      await apply(batch.changes)
      expect(known([name])).toBeUndefined()
      expect(known(['t_other', name])).toBeUndefined()
      expect(known(['t_other'])).toBeDefined()
    })
    await shard.resync(async (known) => expect(redis.diff(owner, wanted, known([name]) as never)).toEqual([]))
    expect(calls).toEqual(['observe', 'observe-all', 'apply', 'observe-all'])
    expect(shard.snapshotAgeSeconds).toBeLessThan(60)
    await apply(redis.diff(owner, [], (await shard.read([name], signal)) as never))
  })

  test('knows nothing for sure of what was written to while the whole was read', async () => {
    const { shard, owner } = connect()
    const { name, wanted } = acme(owner)
    const changes = redis.diff(owner, wanted, (await shard.read([name], signal)) as never)
    const reading = shard.resync(async (known) => expect(known([name])).toBeUndefined())
    await shard.apply(() => ({ owner, changes, secrets: () => 'p'.repeat(40) }), [name], signal)
    await reading
    const drops = redis.diff(owner, [], (await shard.read([name], signal)) as never)
    await shard.apply(() => ({ owner, changes: drops, secrets: () => '' }), [name], signal)
  })

  test('is asked nothing more for a while once it did not answer, until its health is looked at again', async () => {
    const silent = createServer((socket) => socket.on('error', () => socket.destroy()))
    await new Promise<void>((ready) => silent.listen(0, '127.0.0.1', ready))
    onTestFinished(() => void silent.close())
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const { shard, calls } = connect({ host: '127.0.0.1', port, tls: 'off' })
    await expect(shard.read(['t_x'], signal)).rejects.toMatchObject({ code: 'Timeout' })
    await expect(shard.read(['t_y'], signal)).rejects.toMatchObject({ code: 'Timeout' })
    await expect(shard.resync(async () => expect.unreachable('nothing was read'))).rejects.toMatchObject({
      code: 'Timeout',
    })
    expect(calls).toEqual(['observe failed'])
    await expect(shard.health()).rejects.toMatchObject({ code: 'Timeout' })
    expect(calls).toEqual(['observe failed', 'health failed'])
  })
})

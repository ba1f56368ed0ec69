import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshNamespace, useStack } from '../../test/support/stack.ts'
import { systemClock } from '../clock.ts'
import { silentLog } from '../telemetry/log.ts'
import { createClient, type KubeClient } from './client.ts'
import { writesInTerm } from './in-term.ts'
import { type LeaderOptions, lead } from './leader.ts'
import { CONFIG_MAPS, LEASES } from './types.ts'

let client: KubeClient
let namespace: string
let count = 0

beforeAll(async () => {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(useStack().kubeconfig)
  client = createClient({ kubeConfig })
  namespace = await freshNamespace()
})
afterAll(() => client.close())

const never = new AbortController().signal
const candidate = (name: string, part: Partial<LeaderOptions> = {}): LeaderOptions => ({
  client,
  clock: systemClock,
  random: Math.random,
  log: silentLog,
  namespace,
  name,
  identity: `candidate-${count++}`,
  leaseDurationMs: 2_000,
  renewDeadlineMs: 1_200,
  retryPeriodMs: 200,
  ...part,
})

describe('lead', () => {
  test('gives the lease to one of two, and to the other once it is released, with a higher epoch', async () => {
    const first = await lead(candidate('released'), never)
    let second: Awaited<ReturnType<typeof lead>> | undefined
    const waiting = lead(candidate('released'), never).then((leadership) => {
      second = leadership
    })
    await systemClockSleep(2_500)
    expect(second).toBeUndefined()
    expect(first.lost.aborted).toBe(false)
    await first.release()
    await waiting
    expect(second?.epoch).toBeGreaterThan(first.epoch)
    await second?.release()
  })

  test('takes a lease that is released at once, not only when it would have asked again', async () => {
    const first = await lead(candidate('awaited'), never)
    const heir = lead(candidate('awaited', { retryPeriodMs: 600_000 }), never)
    await systemClockSleep(500)
    await first.release()
    const { epoch, release } = await heir
    expect(epoch).toBeGreaterThan(first.epoch)
    await release()
  })

  test('takes over from a holder that went silent, but not before its lease ran out as seen from here', async () => {
    const dead = await lead(candidate('silent', { retryPeriodMs: 600_000, renewDeadlineMs: 700_000 }), never)
    const before = performance.now()
    const heir = await lead(candidate('silent'), never)
    expect(performance.now() - before).toBeGreaterThanOrEqual(2_000)
    expect(heir.epoch).toBeGreaterThan(dead.epoch)
    await heir.release()
  })

  test('ends the term when the lease cannot be renewed in time', async () => {
    let broken = false
    const failing: KubeClient = {
      ...client,
      get: (...args) => (broken ? Promise.reject(new Error('the network is gone')) : client.get(...args)),
    }
    const term = await lead(candidate('partitioned', { client: failing }), never)
    broken = true
    await new Promise((ended) => term.lost.addEventListener('abort', ended, { once: true }))
    await term.release()
    const lease = await client.get(LEASES, { namespace, name: 'partitioned' })
    expect(lease?.spec?.holderIdentity, 'a lease that was lost is not touched').toBeDefined()
  })

  test('lets a holder that was frozen write nothing from its first moment on, before it has heard of anything', async () => {
    let slept = 0
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + slept }
    const term = await lead(candidate('frozen', { clock, retryPeriodMs: 600_000, renewDeadlineMs: 60_000 }), never)
    const inTerm = writesInTerm(client, () => term.isOver())
    const map = (name: string) => ({ metadata: { namespace, name }, data: { a: 'b' } })
    await inTerm.create(CONFIG_MAPS, map('before'))
    slept = 60_000
    expect(term.lost.aborted).toBe(false)
    const tried = [
      () => inTerm.create(CONFIG_MAPS, map('after')),
      () => inTerm.apply(CONFIG_MAPS, map('before')),
      () => inTerm.patch(CONFIG_MAPS, map('before').metadata, { data: null }, { type: 'merge' }),
      () => inTerm.remove(CONFIG_MAPS, map('before').metadata),
    ]
    for (const write of tried) await expect(write()).rejects.toMatchObject({ code: 'Fenced' })
    const { items } = await inTerm.list(CONFIG_MAPS, { namespace })
    expect(items.filter(({ data }) => data?.a === 'b').map(({ metadata }) => metadata.name)).toEqual(['before'])
    await term.release()
  })

  test('ends the term at once when another holds the lease', async () => {
    const term = await lead(candidate('stolen'), never)
    await client.patch(
      LEASES,
      { namespace, name: 'stolen' },
      { spec: { holderIdentity: 'thief', leaseDurationSeconds: 60 } },
      { type: 'merge' },
    )
    await new Promise((ended) => term.lost.addEventListener('abort', ended, { once: true }))
    await term.release()
    expect((await client.get(LEASES, { namespace, name: 'stolen' }))?.spec?.holderIdentity).toBe('thief')
  })

  test('gives a higher epoch even when the lease was deleted meanwhile', async () => {
    const before = await lead(candidate('deleted'), never)
    await client.remove(LEASES, { namespace, name: 'deleted' })
    await before.release()
    const after = await lead(candidate('deleted'), never)
    expect(after.epoch).toBeGreaterThan(before.epoch)
    await after.release()
  })

  test('gives up waiting when asked to', async () => {
    const holder = await lead(candidate('abandoned'), never)
    await expect(lead(candidate('abandoned'), AbortSignal.timeout(300))).rejects.toThrow()
    await holder.release()
  })
})

function systemClockSleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}

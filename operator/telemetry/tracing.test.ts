import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../clock.ts'
import type { KubeObject } from '../kube/types.ts'
import { Coalescer } from '../shards/coalesce.ts'
import { currentReconcile } from './reconcile-context.ts'
import { about, call, capture, request, startTracing } from './testing/tracing-lab.ts'
import { createTracing, parseTraceparent, type Tracing } from './tracing.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

const object = (traceparent: string): KubeObject => ({
  metadata: {
    namespace: 'shop',
    name: 'acme',
    generation: 7,
    annotations: { 'tenantry.dev/traceparent': traceparent },
  },
})

/** A reconcile that calls an engine and writes a Secret, with other work going on in between. */
async function reconcileOnce(tracing: Tracing, key: string): Promise<string> {
  return await tracing.reconcile(about({ key }), async () => {
    await wait(10)
    tracing.called(call({ shard: key }))
    await Promise.all([wait(5), Promise.resolve()])
    tracing.requested({ ...request, code: '200' })
    return 'success'
  })
}

describe('the spans', () => {
  test('of a reconcile are parents of those of its calls, however many run at a time', async () => {
    const { tracing, received } = await startTracing()
    const keys = Array.from({ length: 20 }, (_, i) => `shop/t${i}`)
    await Promise.all(keys.map((key) => reconcileOnce(tracing, key)))
    const spans = await received()
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === '')
    expect(roots.map(({ attributes }) => `${attributes['k8s.namespace.name']}/${attributes['tenantry.name']}`)).toEqual(
      expect.arrayContaining(keys),
    )
    expect(spans).toHaveLength(60)
    for (const root of roots) {
      const children = spans.filter(({ parentSpanId }) => parentSpanId === root.spanId)
      expect(children.map(({ name }) => name)).toEqual(['PostgreSQL apply', 'apply secrets'])
      expect(children[0]?.attributes['tenantry.shard']).toBe(`shop/${root.attributes['tenantry.name']}`)
      for (const child of children) {
        expect(child.traceId).toBe(root.traceId)
        expect(child.attributes['tenantry.reconcile_id']).toBe(root.attributes['tenantry.reconcile_id'])
        expect(child.start).toBeGreaterThanOrEqual(root.start)
        expect(child.end).toBeLessThanOrEqual(root.end)
      }
    }
  })

  test('say what was done to what, why and with which result', async () => {
    const { tracing, received } = await startTracing()
    const of = about({ cause: 'resync', attempt: 3, object: () => object('') })
    await tracing.reconcile(of, async () => {
      tracing.called(call({ ok: false, code: 'Unreachable' }))
      tracing.requested({ ...request, verb: 'get', method: 'GET', code: '404' })
      tracing.requested({ ...request, code: '409' })
      tracing.requested({ ...request, code: 'error' })
      return 'error'
    })
    const [engine, absent, conflict, silent, root] = await received()
    expect(root).toMatchObject({
      name: 'reconcile tenant',
      failed: true,
      resource: { 'service.name': 'tenantry-operator' },
      attributes: {
        'tenantry.controller': 'tenant',
        'k8s.namespace.name': 'shop',
        'tenantry.name': 'acme',
        'tenantry.generation': 7,
        'tenantry.cause': 'resync',
        'tenantry.attempt': 3,
        'tenantry.result': 'error',
        'tenantry.reconcile_id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      },
    })
    expect(engine).toMatchObject({
      failed: true,
      attributes: { 'db.system.name': 'postgresql', 'error.type': 'Unreachable' },
    })
    expect(absent).toMatchObject({
      name: 'get secrets',
      failed: false,
      attributes: { 'http.response.status_code': 404 },
    })
    expect(conflict).toMatchObject({ failed: true, attributes: { 'tenantry.code': '409' } })
    expect(silent).toMatchObject({ failed: true, attributes: { 'tenantry.code': 'error', 'error.type': 'error' } })
  })

  test('of a reconcile that threw fail and hold nothing of the error, which may hold anything', async () => {
    const { tracing, received } = await startTracing()
    const work = tracing.reconcile(about(), () => Promise.reject(new Error('canary-91c2')))
    await expect(work).rejects.toThrow('canary-91c2')
    const spans = await received()
    expect(spans).toMatchObject([{ failed: true }])
    expect(JSON.stringify(spans)).not.toContain('canary')
  })

  test('of a joint call hang below the first reconcile that waited and link to the others', async () => {
    const { tracing, received } = await startTracing()
    const gate = Promise.withResolvers<void>()
    let calls = 0
    const reads = new Coalescer(async (_names, joined) => {
      if (calls++ === 0) await gate.promise
      tracing.called(call({ op: 'observe', joined }))
      return 'found'
    }, systemClock)
    const look = (key: string) =>
      tracing.reconcile(about({ key }), async () => {
        await reads.read([key])
        return 'success'
      })
    const first = look('shop/a')
    await wait(5)
    const others = [look('shop/b'), look('shop/c'), look('shop/d')]
    await wait(5)
    gate.resolve()
    await Promise.all([first, ...others])
    const spans = await received()
    const named = (name: string) => spans.find(({ attributes }) => attributes['tenantry.name'] === name)
    const idOf = (name: string) => `${named(name)?.traceId}-${named(name)?.spanId}`
    const observed = spans.filter(({ name }) => name === 'PostgreSQL observe')
    expect(observed.map(({ parentSpanId }) => parentSpanId)).toEqual([named('a')?.spanId, named('b')?.spanId])
    expect(observed.map(({ links }) => links)).toEqual([[], [idOf('c'), idOf('d')]])
    expect(observed[1]?.attributes['tenantry.joined']).toBe(3)
  })

  test('are made only for what a reconcile does, and not for what it left running', async () => {
    const { tracing, received } = await startTracing()
    let left: Promise<void> = Promise.resolve()
    await tracing.reconcile(about(), async () => {
      left = wait(20).then(() => tracing.requested({ ...request, code: '200' }))
      return 'success'
    })
    await left
    tracing.called(call())
    expect((await received()).map(({ name }) => name)).toEqual(['reconcile tenant'])
  })
})

describe('a traceparent on the object', () => {
  test('is continued until the spec is in force, and linked to afterwards', async () => {
    const { tracing, received } = await startTracing()
    const annotated = () => object(`00-${TRACE}-${PARENT}-01`)
    await tracing.reconcile(about({ object: annotated }), async () => 'success')
    await tracing.reconcile(about({ object: annotated, settled: () => true }), async () => 'success')
    const [continued, linked] = await received()
    expect(continued).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, links: [] })
    expect(linked).toMatchObject({ parentSpanId: '', links: [`${TRACE}-${PARENT}`] })
    expect(linked?.traceId).not.toBe(TRACE)
  })

  test('that says "not sampled" is obeyed', async () => {
    const { tracing, received } = await startTracing()
    const annotated = () => object(`00-${TRACE}-${PARENT}-00`)
    await tracing.reconcile(about({ object: annotated }), async () => 'success')
    expect(await received()).toEqual([])
  })

  test.each([
    ['', undefined],
    ['nonsense', undefined],
    [`00-${'0'.repeat(32)}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    [`ff-${TRACE}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${PARENT}-01\nx`, undefined],
    [`00-${TRACE}-${PARENT}-03`, 1],
    [`cc-${TRACE}-${PARENT}-01-what-comes-later`, 1],
  ])('%j means flags %j', (text, flags) => {
    expect(parseTraceparent(text)?.traceFlags).toBe(flags)
  })
})

describe('a reconcile id', () => {
  test.each(['off', 'on'])('is in every log line of its reconcile and in no other, with tracing %s', async (mode) => {
    const tracing = mode === 'on' ? (await startTracing()).tracing : createTracing()
    const { log, lines } = capture()
    const child = log.child({ kind: 'Tenant' })
    let left: Promise<void> = Promise.resolve()
    const run = (key: string) =>
      tracing.reconcile(about({ key }), async () => {
        log.info({ key }, 'begins')
        await wait(5)
        child.warn({ key }, 'ends')
        left = wait(30).then(() => log.info('left running'))
        expect(currentReconcile()?.id).toBeDefined()
        return 'success'
      })
    await Promise.all([run('shop/a'), run('shop/b')])
    await left
    log.info('outside')
    const ids = (key: string) => lines().flatMap((line) => (line.key === key ? [line.reconcileId] : []))
    expect(ids('shop/a')).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), ids('shop/a')[0]])
    expect(ids('shop/b')[0]).not.toBe(ids('shop/a')[0])
    expect(
      lines()
        .filter(({ reconcileId }) => reconcileId === undefined)
        .map(({ msg }) => msg),
    ).toContain('outside')
    expect(lines().filter(({ msg, reconcileId }) => msg === 'left running' && reconcileId)).toEqual([])
    expect(
      lines().every(({ traceId, reconcileId }) => (traceId !== undefined) === (mode === 'on' && !!reconcileId)),
    ).toBe(true)
    onTestFinished(() => expect(currentReconcile()).toBeUndefined())
  })
})

import { connect } from 'node:net'
import { Counter, Registry } from 'prom-client'
import { afterEach, describe, expect, test } from 'vitest'
import { serve, type TelemetryServer } from './http.ts'

const open: TelemetryServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

async function start(ready: () => true | string = () => true, registry = new Registry()) {
  const server = await serve({ host: '127.0.0.1', port: 0, registry, ready })
  open.push(server)
  const base = `http://127.0.0.1:${server.port}`
  return { server, get: (path: string, method = 'GET') => fetch(base + path, { method }) }
}

describe('the telemetry server', () => {
  test('serves the metrics', async () => {
    const registry = new Registry()
    new Counter({ name: 'things_total', help: 'things', registers: [registry] }).inc(3)
    const { get } = await start(() => true, registry)
    const response = await get('/metrics')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain('text/plain')
    expect(await response.text()).toContain('things_total 3')
  })

  test('is alive whether it is ready or not, and says why it is not', async () => {
    let state: true | string = 'tenants are not listed yet'
    const { get } = await start(() => state)
    expect((await get('/healthz')).status).toBe(200)
    const waiting = await get('/readyz')
    expect([waiting.status, await waiting.text()]).toEqual([503, 'tenants are not listed yet\n'])
    state = true
    expect((await get('/readyz?verbose')).status).toBe(200)
  })

  test('has nothing else, takes no writes and answers HEAD', async () => {
    const { get } = await start()
    expect((await get('/')).status).toBe(404)
    expect((await get('/metrics/../secrets')).status).toBe(404)
    expect((await get('/metrics', 'POST')).status).toBe(405)
    const head = await get('/healthz', 'HEAD')
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  test('answers 500 when a collector fails, and goes on', async () => {
    const { get } = await start(() => {
      throw new Error('a defect')
    })
    expect((await get('/readyz')).status).toBe(500)
    expect((await get('/healthz')).status).toBe(200)
  })

  test('says when its address is taken', async () => {
    const { server } = await start()
    const again = serve({ host: '127.0.0.1', port: server.port, registry: new Registry(), ready: () => true })
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test('closes although a client keeps its connection', async () => {
    const { server } = await start()
    const socket = connect(server.port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => undefined)
    await server.close()
    await closed
    await expect(fetch(`http://127.0.0.1:${server.port}/healthz`)).rejects.toThrow()
  })
})

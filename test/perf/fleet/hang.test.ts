import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { startProxy } from './hang.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

/** A server that answers what it hears, behind a proxy. */
async function echoBehindProxy() {
  const server = createServer((socket) => {
    socket.pipe(socket)
    socket.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => server.close())
  const proxy = await startProxy()
  cleanUps.push(() => proxy.close())
  return { ...proxy, ...proxy.lead({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }) }
}

async function talk(port: number) {
  const socket = connect(port, '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk) => (heard += String(chunk)))
  await once(socket, 'connect')
  cleanUps.push(async () => socket.destroy())
  return { say: (text: string) => void socket.write(text), heard: () => heard }
}

test('a hanging proxy keeps old and new connections open and delivers nothing until it goes on', async () => {
  const proxy = await echoBehindProxy()
  const old = await talk(proxy.port)
  old.say('one ')
  await expect.poll(old.heard).toBe('one ')
  proxy.hang()
  const fresh = await talk(proxy.port)
  old.say('two')
  fresh.say('three')
  await sleep(100)
  expect([old.heard(), fresh.heard()]).toEqual(['one ', ''])
  proxy.resume()
  await expect.poll(old.heard).toBe('one two')
  await expect.poll(fresh.heard).toBe('three')
})

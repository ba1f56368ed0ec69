/**
 * Renews a worker's lease from a thread of its own, so that a handler that keeps the event loop busy does not look dead. It stops
 * when the main thread has been silent for longer than the stall limit: that one will not come back.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Client, type ClientConfig } from 'pg'
import { openStore } from '../store.ts'
import { SHARED, type Shared, type ThreadData } from './heartbeat.ts'

const { postgres, schema, leaseMs, stallMs, shared } = workerData as ThreadData & { postgres: ClientConfig }
const cells: Shared = new BigInt64Array(shared)
const store = openStore(schema)
let client: Client | undefined

parentPort?.on('message', () => process.exit())

for (let begun = false; ; begun = true) {
  const worker = Number(Atomics.load(cells, SHARED.worker))
  if (worker > 0 && !stalled()) await beat(worker).catch(forget)
  if (!begun) parentPort?.postMessage('begun')
  await new Promise((wake) => setTimeout(wake, leaseMs / 5))
}

function stalled(): boolean {
  return Date.now() - Number(Atomics.load(cells, SHARED.mainSeen)) > stallMs
}

async function beat(worker: number): Promise<void> {
  const began = Date.now()
  const alive = await store.value<boolean>(await connected(), 'beat', worker, leaseMs)
  // Only what was known before it was asked is certain; another worker may have been registered meanwhile.
  if (Number(Atomics.load(cells, SHARED.worker)) !== worker) return
  if (alive) Atomics.store(cells, SHARED.heldUntil, BigInt(began + leaseMs))
  else parentPort?.postMessage(worker)
}

async function connected(): Promise<Client> {
  if (client !== undefined) return client
  const made = new Client({ connectionTimeoutMillis: leaseMs / 3, query_timeout: leaseMs / 3, ...postgres })
  made.on('error', forget)
  await made.connect()
  client = made
  return made
}

function forget(): void {
  const old = client
  client = undefined
  old?.end().catch(() => undefined)
}

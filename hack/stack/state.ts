import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { readIfThere, writePrivate } from './files.ts'

const PORTS = ['etcd', 'etcdPeer', 'kubeApiserver', 'postgres', 'redis', 'clickhouse'] as const
const SECRETS = ['admin', 'controllerManager', 'scheduler', 'postgres', 'redis', 'clickhouse'] as const

/** Ports on 127.0.0.1 and random secrets of one stack: the same at every start in the same folder. */
export interface StackState {
  readonly ports: Readonly<Record<(typeof PORTS)[number], number>>
  readonly secrets: Readonly<Record<(typeof SECRETS)[number], string>>
}

/** Reads the folder's state and completes it; a port that somebody else took meanwhile is replaced by a free one. */
export async function loadState(dir: string): Promise<StackState> {
  const path = join(dir, 'state.json')
  const known = parse(readIfThere(path))
  const ports = await choosePorts(known.ports ?? {})
  const secrets = SECRETS.map((name) => [name, known.secrets?.[name] ?? randomBytes(24).toString('hex')])
  const state = { ports, secrets: Object.fromEntries(secrets) } as StackState
  writePrivate(path, JSON.stringify(state, null, 2))
  return state
}

type Known = { ports?: Record<string, number>; secrets?: Record<string, string> }

function parse(text: string | undefined): Known {
  try {
    return JSON.parse(text ?? '{}') as Known
  } catch (error) {
    throw new Error('The stack folder has a damaged state.json: remove the folder to begin anew.', { cause: error })
  }
}

/** All are held at once while they are chosen, so that no two get the same. */
async function choosePorts(known: Record<string, number>): Promise<StackState['ports']> {
  const held: Server[] = []
  const chosen: Record<string, number> = {}
  for (const name of PORTS) {
    const server = (await listen(known[name] ?? 0)) ?? (await listen(0))
    if (!server) throw new Error('No port is free on 127.0.0.1')
    held.push(server)
    chosen[name] = (server.address() as AddressInfo).port
  }
  await Promise.all(held.map((server) => once(server.close(), 'close')))
  return chosen as StackState['ports']
}

/** A port on 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = await listen(0)
  if (!server) throw new Error('No port is free on 127.0.0.1')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer()
  const listening = once(server, 'listening')
  server.listen(port, '127.0.0.1')
  return listening.then(
    () => server,
    () => undefined,
  )
}

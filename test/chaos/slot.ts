/** A place to run plans in, one after another: proxies of its own in front of the shared servers. */
import { mkdirSync } from 'node:fs'
import { createGate, type Gate, type Hands } from './gate.ts'
import type { Lab } from './lab.ts'
import type { Ports } from './lifecycles/life.ts'
import type { OperatorProcess } from './operator.ts'
import type { Target } from './plan.ts'
import { type ApiProxy, openApiProxy } from './proxies/api.ts'
import { openClickHouseProxy } from './proxies/clickhouse.ts'
import type { Relay } from './proxies/listen.ts'
import { openPostgresProxy } from './proxies/postgres.ts'
import { openRedisProxy } from './proxies/redis.ts'

export interface Slot {
  readonly lab: Lab
  readonly dir: string
  readonly gate: Gate
  readonly api: ApiProxy
  readonly ports: Ports
  /** What a fault may do, to this operator. */
  hands(operator: () => OperatorProcess): Hands
  close(): Promise<void>
}

export async function openSlot(lab: Lab, dir: string): Promise<Slot> {
  mkdirSync(dir, { recursive: true })
  const gate = createGate()
  const { postgres, redis, clickhouse } = lab.servers
  const api = await openApiProxy(gate, lab.kubeConfig)
  const relays: Readonly<Record<Target, Relay>> = {
    api,
    postgres: await openPostgresProxy(gate, postgres, postgres.username ?? 'postgres'),
    redis: await openRedisProxy(gate, redis),
    clickhouse: await openClickHouseProxy(gate, clickhouse),
  }
  return {
    ...{ lab, dir, gate, api },
    ports: { postgres: relays.postgres.port, redis: relays.redis.port, clickhouse: relays.clickhouse.port },
    hands: (operator) => ({
      kill: () => operator().kill(),
      pause: (ms) => operator().pause(ms),
      jump: (ms) => operator().jump(ms),
      watches: (how) => api.watches(how),
      disconnect: (target) => relays[target].disconnect(),
      restart: async (program) => {
        if (!lab.restart) throw new Error(`restart ${program}: this stack cannot restart its programs`)
        await lab.restart(program)
      },
    }),
    close: async () => {
      await Promise.all(Object.values(relays).map((relay) => relay.close()))
    },
  }
}

import { createHash } from 'node:crypto'
import type { Database, ShardSpec } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { Connection, Engine, EngineName, Resource, SessionOptions } from '@tenantry/engines/model.ts'
import type { Secret } from '../kube/types.ts'
import { parseConnection } from './connection.ts'
import { Shard, type ShardOptions } from './shard.ts'

export interface ShardPoolOptions
  extends Pick<ShardOptions, 'clock' | 'onCall' | 'maxConcurrentApplies' | 'coolDownMs'> {
  readonly engines: Readonly<Record<EngineName, Engine<Resource, unknown>>>
  readonly session: SessionOptions
  readonly readSecret: (database: Database, name: string) => Promise<Secret | undefined>
  /** Closing an outdated pool failed; nothing depends on it. */
  readonly onCloseError: (id: string, error: unknown) => void
}

interface Open {
  readonly shard: Shard
  readonly connectionHash: string
}

/** The live shards of all Databases, each with one connection pool, replaced when its connection Secret changes. */
export class ShardPool {
  readonly #options: ShardPoolOptions
  readonly #open = new Map<string, Open>()

  constructor(options: ShardPoolOptions) {
    this.#options = options
  }

  /**
   * The shard with a pool for its present Secret; nothing is sent to it yet. With `lastKnown` a pool that is open outlives
   * its Secret: when a whole namespace is deleted, the Secret goes first and the tenants still have to be cleaned up. A
   * Secret that is there wins even then: it may have been corrected so that the deletion can go on.
   * Throws AppError `SecretNotFound`, `SecretInvalid`, `WrongEngine`, `InvalidSpec`.
   */
  async acquire(database: Database, name: string, { lastKnown = false } = {}): Promise<Shard> {
    const id = shardId(database, name)
    const connection = await this.#connection(database, name).catch((error: unknown) => {
      const known = lastKnown ? this.#open.get(id) : undefined
      if (known) return known.shard.connection
      throw error
    })
    const connectionHash = hashOf(connection)
    const open = this.#open.get(id)
    if (open?.connectionHash === connectionHash) return open.shard
    if (open) this.#retire(open.shard)
    const shard = this.#connect(id, database.spec.engine, connection)
    this.#open.set(id, { shard, connectionHash })
    return shard
  }

  /** Closes what the Database no longer has. */
  retain(database: { readonly namespace: string; readonly name: string }, names: readonly string[]): void {
    const prefix = `${database.namespace}/${database.name}/`
    const kept = new Set(names.map((name) => prefix + name))
    for (const [id, { shard }] of this.#open) {
      if (!id.startsWith(prefix) || kept.has(id)) continue
      this.#open.delete(id)
      this.#retire(shard)
    }
  }

  shards(): readonly Shard[] {
    return [...this.#open.values()].map(({ shard }) => shard)
  }

  async close(): Promise<void> {
    const open = this.shards()
    this.#open.clear()
    await Promise.allSettled(open.map((shard) => shard.close()))
  }

  async #connection(database: Database, shard: string): Promise<Connection> {
    const spec = findShard(database, shard)
    const { namespace } = database.metadata
    const name = spec.connectionSecretRef.name
    const secret = await this.#options.readSecret(database, name)
    if (secret) return parseConnection(database.spec.engine, `${namespace}/${name}`, secret.data ?? {})
    throw new AppError(
      'SecretNotFound',
      `connect to shard ${spec.name} of Database ${namespace}/${database.metadata.name}: there is no Secret ${namespace}/${name}; ` +
        'create it with host, port, username, password and database, or uri',
    )
  }

  #connect(id: string, engineName: EngineName, connection: Connection): Shard {
    const { engines, session: sessionOptions, clock, onCall, maxConcurrentApplies, coolDownMs } = this.#options
    const engine = engines[engineName]
    const session = engine.connect(connection, sessionOptions)
    return new Shard({
      id,
      engine,
      connection,
      session,
      clock,
      onCall,
      maxConcurrentApplies: maxConcurrentApplies * (engine.batchesPerConnection ?? 1),
      coolDownMs,
    })
  }

  #retire(shard: Shard): void {
    shard.close().catch((error: unknown) => this.#options.onCloseError(shard.id, error))
  }
}

/** `namespace/database/shard`: names a shard in placements, metrics and messages. */
export function shardId(database: Database, name: string): string {
  return `${database.metadata.namespace}/${database.metadata.name}/${name}`
}

function findShard(database: Database, name: string): ShardSpec {
  const spec = database.spec.shards.find((shard) => shard.name === name)
  if (spec) return spec
  const { namespace, name: databaseName } = database.metadata
  const known = database.spec.shards.map((shard) => shard.name).join(', ')
  throw new AppError(
    'InvalidSpec',
    `use shard ${name} of Database ${namespace}/${databaseName}: it has no such shard (it has ${known}); add it back or name another`,
  )
}

function hashOf(connection: Connection): string {
  const entries = Object.entries(connection).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(entries)).digest('base64')
}

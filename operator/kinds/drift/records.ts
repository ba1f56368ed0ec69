import type { Resource, SchemaAnswer } from '@tenantry/engines/model.ts'

/** What the last look found of one schema that differs, or did until then. */
export interface DriftRecord {
  /** `namespace/database/shard`. */
  readonly shard: string
  readonly engine: string
  readonly answer: SchemaAnswer
  /** Repairs that were not tried since. */
  readonly repairs: readonly Resource[]
}

/** What a look found of a shard as a whole. `unknown`: why some of its schemas could not be judged. */
export interface ShardDrift {
  readonly differing: number
  readonly unknown?: string
}

/**
 * Schemas that differ, by shard and name: few, however large the fleet. It is forgotten when the process ends; the conditions stay,
 * and the next look knows again.
 */
export class DriftRecords {
  readonly #records = new Map<string, DriftRecord>()
  readonly #shards = new Map<string, ShardDrift>()

  get(shard: string, schema: string): DriftRecord | undefined {
    return this.#records.get(`${shard}/${schema}`)
  }

  set(record: DriftRecord): void {
    this.#records.set(`${record.shard}/${record.answer.schema}`, record)
  }

  delete(shard: string, schema: string): void {
    this.#records.delete(`${shard}/${schema}`)
  }

  list(): readonly DriftRecord[] {
    return [...this.#records.values()]
  }

  /** What the last look found of a shard; undefined before the first. */
  lookAt(shard: string): ShardDrift | undefined {
    const known = this.#shards.get(shard)
    return known && { ...known, differing: this.#differing(shard) }
  }

  looked(shard: string, unknown: string | undefined): void {
    this.#shards.set(shard, { differing: 0, ...(unknown !== undefined && { unknown }) })
  }

  /** Forgets the shard's schemas but these: whoever had the others is gone. */
  retain(shard: string, schemas: readonly string[]): void {
    const kept = new Set(schemas)
    for (const { answer, shard: of } of this.list()) {
      if (of === shard && !kept.has(answer.schema)) this.delete(shard, answer.schema)
    }
  }

  /** A Database, or one of its shards, is gone or nobody is to look any more. */
  forget(prefix: string): void {
    for (const map of [this.#records, this.#shards]) {
      for (const key of map.keys()) if (`${key}/`.startsWith(`${prefix}/`)) map.delete(key)
    }
  }

  #differing(shard: string): number {
    return this.list().filter((record) => record.shard === shard && record.answer.differences.length > 0).length
  }
}

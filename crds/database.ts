import { z } from 'zod'
import {
  type API_VERSION,
  DELETION_POLICIES,
  dnsLabel,
  dnsSubdomain,
  ENGINES,
  engineName,
  type Immutable,
  ISOLATIONS,
  interval,
  limits,
  type ManifestMeta,
  mapBy,
  message,
  type ObjectMeta,
  quantity,
  rules,
  SET,
} from './common.ts'
import { conditions } from './conditions.ts'
import { conditionPath, type KindDefinition } from './kind.ts'
import { plan } from './plan.ts'
import { rolloutStatus, schema, schemaProgress } from './schema.ts'

const COUNT_MAX = 2_147_483_647

const capacity = z.object({
  tenants: z.int().min(1).max(1_000_000).optional().describe('Most tenants to place on the shard.'),
  tables: z.int().min(1).max(COUNT_MAX).optional().describe('Tables at which the shard counts as full.'),
  connections: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Sessions that the server accepts: the sum of what its tenants may open stays below.'),
  storage: quantity.optional().describe('Size at which the shard counts as full, for example 200Gi.'),
})

const shard = z.object({
  name: dnsLabel.describe('Identifies the shard for good: tenants are placed by it.'),
  connectionSecretRef: z
    .object({ name: dnsSubdomain.describe('Name of the Secret.') })
    .describe(
      "Secret in the Database's namespace with the administrative connection: host, port, username, password, database, sslmode and ca.crt, or uri.",
    ),
  capacity: capacity
    .optional()
    .describe('How much fits. New tenants go where the most room is left, and nowhere once every shard is full.'),
  cordoned: z
    .boolean()
    .default(false)
    .describe('Keeps new tenants away. Those already here stay and are looked after.'),
})

const namespaces = z
  .object({
    from: z
      .enum(['Same', 'Selector', 'All'])
      .default('Same')
      .describe(
        "The Database's own namespace is always let in. Same: no other; Selector: those with the labels below; All: any.",
      ),
    selector: z
      .object({
        matchLabels: z
          .record(z.string(), z.string().max(63))
          .meta({ maxProperties: 16, minProperties: 1 })
          .describe('Labels that a namespace must have, all of them.'),
      })
      .optional()
      .describe('Which namespaces, with from Selector.'),
  })
  .meta(
    rules({
      rule: "(self.from == 'Selector') == has(self.selector)",
      message: 'give a selector with from: Selector, and only then',
    }),
  )

export const databaseSpec = z
  .object({
    engine: z
      .enum(ENGINES)
      .meta(rules({ rule: 'self == oldSelf', message: 'engine cannot be changed: make another Database' }))
      .describe('What the servers run. It cannot be changed.'),
    purpose: z
      .enum(['OLTP', 'Content', 'OLAP', 'Queue', 'Cache', 'Admin', 'Custom'])
      .default('Custom')
      .describe('What the data is for: shown to people and in metrics.'),
    isolation: z
      .enum(ISOLATIONS)
      .meta(rules({ rule: 'self == oldSelf', message: 'isolation cannot be changed: make another Database' }))
      .describe(
        'How tenants are kept apart: a Schema or a Database each, Row policies in shared tables, or a key Prefix (Redis). It cannot be changed.',
      ),
    replicas: z
      .int()
      .min(1)
      .max(64)
      .default(1)
      .describe('How many of the shards, from the first, take new tenants. kubectl scale sets it.'),
    shards: z
      .array(shard)
      .min(1)
      .max(64)
      .meta({
        ...mapBy('name'),
        ...rules({
          rule: 'self.all(a, self.exists_one(b, a.connectionSecretRef.name == b.connectionSecretRef.name))',
          message: 'give each shard a connection Secret of its own',
        }),
      })
      .describe('Servers that hold the tenants. They exist already: none is made or removed.'),
    allowedTenants: z
      .object({
        namespaces: namespaces
          .default({ from: 'Same' })
          .describe('Namespaces whose Tenants may refer to the Database.'),
      })
      .default({ namespaces: { from: 'Same' } })
      .describe('Who may have a place here.'),
    extensions: z
      .array(
        z
          .string()
          .min(1)
          .max(63)
          .regex(/^[a-z0-9_][-a-z0-9_]*$/),
      )
      .max(32)
      .meta(SET)
      .optional()
      .describe('PostgreSQL extensions that every shard must have, for example pg_trgm.'),
    schema: schema.optional().describe('Tables of every tenant, from plain SQL files.'),
    tenantDefaults: z
      .object({ limits: limits.optional().describe('Ceilings of every tenant that gives none of its own.') })
      .optional()
      .describe('What a Tenant gets where it says nothing itself.'),
    deletionPolicy: z
      .enum(DELETION_POLICIES)
      .default('Retain')
      .describe(
        'What becomes of shared tables when the Database is deleted. It is kept from going while Tenants refer to it.',
      ),
    interval: interval
      .default('5m')
      .describe('How often servers are compared with what should be there, for example 5m; at least 1s.'),
    mode: z
      .enum(['Enforce', 'Plan'])
      .default('Enforce')
      .describe('Plan only shows in status what would be changed, here and in the Tenants.'),
    approval: z
      .enum(['Automatic', 'Destructive', 'All'])
      .default('Automatic')
      .describe('Which changes wait until the annotation tenantry.dev/approved names their plan.'),
  })
  .meta(
    rules(
      {
        rule: "self.isolation in (self.engine == 'PostgreSQL' ? ['Schema', 'Row', 'Database'] : self.engine == 'ClickHouse' ? ['Row', 'Database'] : ['Prefix'])",
        message:
          'choose an isolation of the engine: PostgreSQL has Schema, Row and Database; ClickHouse Row and Database; Redis Prefix',
      },
      {
        rule: "self.engine == 'PostgreSQL' || !has(self.extensions) || size(self.extensions) == 0",
        message: 'remove extensions: only PostgreSQL has them',
        reason: 'FieldValueForbidden',
      },
      {
        rule: "self.engine != 'Redis' || !has(self.schema)",
        message: 'remove schema: Redis has no tables',
        reason: 'FieldValueForbidden',
      },
      {
        rule: 'self.replicas <= size(self.shards)',
        message: 'add shards first: replicas cannot exceed their number',
      },
    ),
  )

const shardStatus = z.object({
  name: dnsLabel.describe('Name of the shard in the spec.'),
  state: z
    .enum(['Active', 'Cordoned', 'Idle', 'Unreachable', 'Misconfigured'])
    .optional()
    .describe(
      'Active takes new tenants; Idle lies beyond replicas; Misconfigured answers but cannot be used, see message.',
    ),
  version: z.string().max(128).optional().describe('Version that the server reports.'),
  latency: z
    .string()
    .max(16)
    .optional()
    .describe('Class of the time that a query takes, such as <10ms. Exact values are in the metrics.'),
  size: z
    .string()
    .max(16)
    .optional()
    .describe('Size of the data, rounded, and updated when it moves by a fifth. Exact values are in the metrics.'),
  tables: z.int().min(0).max(COUNT_MAX).optional().describe('Tables on the shard.'),
  tenants: z.int().min(0).max(COUNT_MAX).optional().describe('Tenants placed on the shard.'),
  schemaVersion: engineName.optional().describe('Version of the last SQL file applied to the shared tables.'),
  ...schemaProgress,
  message: message.optional().describe('What is wrong and what to do. Absent when all is well.'),
})

export const databaseStatus = z.object({
  observedGeneration: z.int().min(0).optional().describe('Generation of the spec that this status is about.'),
  conditions,
  replicas: z.int().min(0).max(COUNT_MAX).optional().describe('Shards that are active now.'),
  selector: z
    .string()
    .max(512)
    .optional()
    .describe('Label selector for the scale subresource. It matches no Pods: servers are not ours.'),
  tenants: z.int().min(0).max(COUNT_MAX).optional().describe('Tenants that have a place in the Database.'),
  schemaVersion: engineName
    .optional()
    .describe('Version of the last SQL file of the sources: where tenants are brought to.'),
  drifted: z
    .int()
    .min(0)
    .max(COUNT_MAX)
    .optional()
    .describe('Schemas that are not as the SQL files make them. Absent: none that is known of.'),
  rollout: rolloutStatus.optional().describe('How the SQL files come to the tenants. Absent: there are no files.'),
  shards: z.array(shardStatus).max(64).meta(mapBy('name')).optional().describe('What was found on each shard.'),
  plan: plan.optional().describe('Changes to what the Database itself owns that are still to be made.'),
})

/** `Database` for the API server: schemas, columns and names. */
export const databaseKind: KindDefinition = {
  kind: 'Database',
  plural: 'databases',
  singular: 'database',
  shortNames: ['tdb'],
  description: 'A tier for tenants to live in: one engine, one purpose, one or more servers (shards).',
  spec: databaseSpec,
  status: databaseStatus,
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
  columns: [
    { name: 'Engine', type: 'string', jsonPath: '.spec.engine' },
    { name: 'Isolation', type: 'string', jsonPath: '.spec.isolation' },
    { name: 'Ready', type: 'string', jsonPath: conditionPath('Ready', 'status') },
    { name: 'Shards', type: 'integer', jsonPath: '.status.replicas', description: 'Active shards' },
    { name: 'Tenants', type: 'integer', jsonPath: '.status.tenants' },
    { name: 'Schema', type: 'string', jsonPath: '.status.schemaVersion', description: 'Version of the last SQL file' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    { name: 'Rollout', type: 'string', jsonPath: '.status.rollout.state', priority: 1 },
    { name: 'At Target', type: 'integer', jsonPath: '.status.rollout.counts.atTarget', priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: conditionPath('Ready', 'reason'), priority: 1 },
    { name: 'Message', type: 'string', jsonPath: conditionPath('Ready', 'message'), priority: 1 },
  ],
}

/** Spec as read from the API server, with defaults filled in. */
export type DatabaseSpec = Immutable<z.output<typeof databaseSpec>>
export type DatabaseStatus = Immutable<z.output<typeof databaseStatus>>
/** One entry of `spec.shards`. */
export type ShardSpec = DatabaseSpec['shards'][number]
/** One entry of `status.shards`. */
export type ShardStatus = NonNullable<DatabaseStatus['shards']>[number]

/** A Database as read from the API server. */
export interface Database {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'Database'
  readonly metadata: ObjectMeta
  readonly spec: DatabaseSpec
  readonly status?: DatabaseStatus
}

/** A Database as a person writes it. */
export interface DatabaseManifest {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'Database'
  readonly metadata: ManifestMeta
  readonly spec: Immutable<z.input<typeof databaseSpec>>
}

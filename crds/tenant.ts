import { z } from 'zod'
import {
  ACCESS,
  type API_VERSION,
  DELETION_POLICIES,
  dnsLabel,
  dnsSubdomain,
  ENGINES,
  engineName,
  type Immutable,
  limits,
  type ManifestMeta,
  mapBy,
  message,
  type ObjectMeta,
  rules,
  SET,
} from './common.ts'
import { conditions } from './conditions.ts'
import { conditionPath, type KindDefinition } from './kind.ts'
import { plan } from './plan.ts'
import { schemaProgress } from './schema.ts'

const databaseRef = z.object({
  name: dnsSubdomain.describe('Name of the Database.'),
  namespace: dnsLabel
    .optional()
    .describe(
      "Namespace of the Database; the Tenant's own when absent. Another namespace works only where the Database's allowedTenants lets this one in.",
    ),
})

const secretTemplate = z
  .record(z.string(), z.string().max(4096))
  .meta({
    maxProperties: 32,
    ...rules({
      rule: "self.all(key, key.matches('^[-._a-zA-Z0-9]{1,253}$'))",
      message: 'use only letters, digits, -, _ and . in the names of Secret keys, and at most 253 of them',
    }),
  })
  .optional()
  .describe(
    'Further keys of the Secret. In a value, $(host), $(port), $(username), $(password), $(database) and $(uri) stand for the keys of that name, and $$(host) for the text itself.',
  )

const database = z
  .object({
    name: dnsLabel.describe("What the tenant's software calls this database, for example main or cache."),
    databaseRef: databaseRef.describe('The Database that gives the tenant a place. It cannot be changed later.'),
    shard: dnsLabel
      .optional()
      .describe('Pins the tenant to one shard. Absent: the active shard with the most room is chosen once and kept.'),
    secretName: dnsSubdomain
      .optional()
      .describe(
        'Secret that the operator writes the credentials to. Absent: <tenant>-<name>, shortened with a hash where that is too long. The credentials of the ReadOnly login go to a second one, with -ro at the end.',
      ),
    access: z
      .array(z.enum(ACCESS))
      .min(1)
      .max(2)
      .meta(SET)
      .default(['ReadWrite'])
      .describe('Logins to make. ReadOnly adds one that can read everything and write nothing.'),
    secretTemplate,
    limits: limits
      .optional()
      .describe("Ceilings of this tenant. What is absent comes from the Database's tenantDefaults."),
  })
  .meta(
    rules(
      {
        rule: 'self.databaseRef == oldSelf.databaseRef',
        message: 'databaseRef cannot be changed: add an entry with another name, copy the data, then remove this one',
      },
      {
        rule: '!has(oldSelf.shard) || !has(self.shard) || self.shard == oldSelf.shard',
        message:
          'shard cannot be changed once it is set: moving a tenant that has data is not supported, put the old value back',
      },
    ),
  )

export const tenantSpec = z.object({
  displayName: z
    .string()
    .max(256)
    .optional()
    .describe('Name for people, in any script. It has no effect on the engines.'),
  plan: z
    .string()
    .max(63)
    .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/)
    .optional()
    .describe('What the customer pays for, for example business: a column, and a label of metrics.'),
  databases: z
    .array(database)
    .min(1)
    .max(32)
    .meta({
      ...mapBy('name'),
      ...rules(
        {
          rule: 'self.all(a, self.exists_one(b, a.databaseRef == b.databaseRef))',
          message: 'refer to each Database once: a Tenant has one place in it',
        },
        {
          rule: 'self.all(a, !has(a.secretName) || self.exists_one(b, has(b.secretName) && b.secretName == a.secretName))',
          message: 'give each database a secretName of its own',
        },
      ),
    })
    .describe('Databases in which the tenant has a place. Removing an entry is deleting it: deletionPolicy applies.'),
  suspended: z
    .boolean()
    .default(false)
    .describe('Blocks the logins and ends the sessions. All data and the Secrets stay, and false undoes it.'),
  deletionPolicy: z
    .enum(DELETION_POLICIES)
    .default('Retain')
    .describe(
      'What becomes of the data when the Tenant or one of its databases is deleted. Logins and Secrets always go.',
    ),
})

const databaseStatus = z.object({
  name: dnsLabel.describe('Name of the entry in spec.databases.'),
  databaseRef: z
    .object({
      name: dnsSubdomain.optional().describe('Name of the Database.'),
      namespace: dnsLabel.optional().describe('Namespace of the Database.'),
    })
    .optional()
    .describe('The Database, with its namespace always given.'),
  engine: z.enum(ENGINES).optional().describe('Engine of the Database.'),
  shard: dnsLabel.optional().describe('Shard that holds the data.'),
  database: engineName.optional().describe('Database on the server to connect to.'),
  schema: engineName.optional().describe("PostgreSQL schema that holds the tenant's tables."),
  keyPrefix: engineName
    .optional()
    .describe('Prefix of every Redis key of the tenant, with the braces that keep it in one slot.'),
  schemaVersion: engineName.optional().describe('Version of the last SQL file that was applied.'),
  ...schemaProgress,
  secretName: dnsSubdomain.optional().describe('Secret with the credentials.'),
  login: engineName.optional().describe('User that the application logs in as.'),
  credential: z
    .string()
    .max(64)
    .optional()
    .describe(
      'Fingerprint of the password with which the isolation probe last logged in. It does not reveal the password.',
    ),
  readOnlyLogin: engineName.optional().describe('User that can only read, where access asks for one.'),
  readOnlyCredential: z.string().max(64).optional().describe('As credential, for the login that can only read.'),
  ready: z.boolean().optional().describe('All that the entry asks for exists and was verified.'),
  message: message.optional().describe('What is missing or wrong, and what to do. Absent when ready.'),
})

export const tenantStatus = z.object({
  observedGeneration: z.int().min(0).optional().describe('Generation of the spec that this status is about.'),
  conditions,
  tenantId: engineName
    .optional()
    .describe('Value of tenant_id in shared tables, the same in every engine and after the cluster is rebuilt.'),
  databasesReady: z.string().max(16).optional().describe('Ready and all databases, for example 2/3.'),
  databases: z
    .array(databaseStatus)
    .max(64)
    .meta(mapBy('name'))
    .optional()
    .describe('Where each database is, and how it does.'),
  plan: plan.optional().describe('Changes that are still to be made. Absent when nothing differs.'),
})

/** `Tenant` for the API server: schemas, columns and names. */
export const tenantKind: KindDefinition = {
  kind: 'Tenant',
  plural: 'tenants',
  singular: 'tenant',
  shortNames: ['tn'],
  description:
    'An isolation unit, such as a customer: its schemas, key spaces, users, tables and credentials in one or more Databases.',
  spec: tenantSpec,
  status: tenantStatus,
  columns: [
    { name: 'Ready', type: 'string', jsonPath: conditionPath('Ready', 'status') },
    { name: 'Reason', type: 'string', jsonPath: conditionPath('Ready', 'reason') },
    { name: 'Databases', type: 'string', jsonPath: '.status.databasesReady', description: 'Ready / all' },
    { name: 'Plan', type: 'string', jsonPath: '.spec.plan' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    { name: 'Tenant Id', type: 'string', jsonPath: '.status.tenantId', priority: 1 },
    { name: 'Message', type: 'string', jsonPath: conditionPath('Ready', 'message'), priority: 1 },
  ],
}

/** Spec as read from the API server, with defaults filled in. */
export type TenantSpec = Immutable<z.output<typeof tenantSpec>>
export type TenantStatus = Immutable<z.output<typeof tenantStatus>>
/** One entry of `spec.databases`. */
export type TenantDatabase = TenantSpec['databases'][number]
/** One entry of `status.databases`. */
export type TenantDatabaseStatus = NonNullable<TenantStatus['databases']>[number]

/** A Tenant as read from the API server. */
export interface Tenant {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'Tenant'
  readonly metadata: ObjectMeta
  readonly spec: TenantSpec
  readonly status?: TenantStatus
}

/** A Tenant as a person writes it. */
export interface TenantManifest {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'Tenant'
  readonly metadata: ManifestMeta
  readonly spec: Immutable<z.input<typeof tenantSpec>>
}

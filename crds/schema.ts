import { z } from 'zod'
import { ATOMIC, dnsSubdomain, duration, engineName, type Immutable, mapBy, message, rules, SET } from './common.ts'
import { driftFields } from './drift.ts'

const COUNT_MAX = 2_147_483_647

/** A version as people write it: the number that the name of a file begins with. */
const version = z
  .string()
  .max(20)
  .regex(/^[0-9]{1,20}$/)

const source = z.object({
  configMapRef: z
    .object({ name: dnsSubdomain.describe('Name of the ConfigMap.') })
    .describe("ConfigMap in the Database's namespace. Each key is a file such as 0001_users.sql."),
})

const repair = z.object({
  version: version.describe('Version of the file that changed after it was applied.'),
  checksum: z
    .string()
    .max(64)
    .regex(/^[0-9a-f]{64}$/)
    .describe('SHA-256 of the text as it is now, in hex: any other text is still refused.'),
})

const canary = z
  .object({
    matchLabels: z
      .record(z.string(), z.string().max(63))
      .meta({ maxProperties: 16, minProperties: 1 })
      .optional()
      .describe('Tenants with all of these labels go first.'),
    percent: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .describe('This share of the tenants goes first, at least one. Each rollout chooses others.'),
    soak: duration.optional().describe('How long to wait once they are done, for example 30m. Absent: not at all.'),
  })
  .meta(
    rules({
      rule: 'has(self.matchLabels) != has(self.percent)',
      message: 'choose the canaries by matchLabels or by percent, not both',
    }),
  )

const rollout = z.object({
  state: z
    .enum(['Running', 'Paused', 'Aborted'])
    .default('Running')
    .describe('Paused starts nothing more and can be set to Running again. Aborted ends the rollout for good.'),
  approval: z
    .enum(['Automatic', 'Destructive', 'All'])
    .default('Destructive')
    .describe(
      'Which rollouts wait until the annotation tenantry.dev/approved names status.rollout.approve. Destructive: those with files that lose data or break running programs.',
    ),
  canary: canary.optional().describe('Tenants that go before all others.'),
  waves: z
    .array(z.int().min(1).max(100))
    .max(20)
    .meta(SET)
    .default([])
    .describe('Shares of all tenants, in percent, at which to stop and soak. Everybody is the last wave in any case.'),
  soak: duration.optional().describe('How long to wait after each wave but the last. Absent: not at all.'),
  maxFailures: z
    .string()
    .max(7)
    .regex(/^(0|[1-9][0-9]{0,5}|[0-9]%|[1-9][0-9]%|100%)$/)
    .default('0')
    .describe('A rollout halts when a file fails for more tenants than these: a number, or a share such as 5%.'),
})

/** `Database.spec.schema`. */
export const schema = z.object({
  sources: z
    .array(source)
    .min(1)
    .max(32)
    .meta(ATOMIC)
    .describe(
      'Where the SQL files are. The files of all sources together are applied in the order of the numbers that their names begin with, each once.',
    ),
  target: version
    .optional()
    .describe(
      'Version of the last file to apply. Absent: the last there is. Lower than what tenants have: they are rolled back by down files.',
    ),
  repair: z
    .array(repair)
    .max(64)
    .meta(mapBy('version'))
    .optional()
    .describe(
      'Files whose text may differ from the one that was applied: the new text is recorded in its place, and not run.',
    ),
  lint: z
    .object({
      rules: z
        .record(z.string(), z.enum(['error', 'warning', 'off']))
        .meta({ maxProperties: 128 })
        .default({})
        .describe('Severity by the name of a rule. An error keeps a file from being rolled out.'),
    })
    .optional()
    .describe('How new SQL files are judged. Absent: as the reference of the rules says.'),
  ...driftFields,
  rollout: rollout.optional().describe('How new files reach tenants. Absent: all tenants at once, and no failure.'),
})

const count = z.int().min(0).max(COUNT_MAX).optional()

const straggler = z.object({
  tenant: z.string().max(320).optional().describe('namespace/name of the Tenant, or the name of a shard.'),
  version: engineName.optional().describe('Version that it is at.'),
  message: message.optional().describe('What is in its way.'),
})

/** Most files that a status can tell apart. Those with a lower number than all of them count as released. */
export const RELEASED_MAX = 2_000
export const STRAGGLERS_MAX = 10

/** `Database.status.rollout`: the memory of a rollout. What it does not hold is found in the statuses of the Tenants. */
export const rolloutStatus = z.object({
  run: z.string().max(64).optional().describe('Names this rollout, also in the ledger on the servers.'),
  state: z
    .enum(['AwaitingApproval', 'Canary', 'Soaking', 'Wave', 'Paused', 'Halted', 'Aborted', 'Refused', 'Done'])
    .optional()
    .describe('What it does now. Halted: more files failed than maxFailures allows; Refused: see message.'),
  from: engineName.optional().describe('Version that the tenants had before.'),
  target: engineName.optional().describe('Version that it brings the tenants to.'),
  rollback: z.boolean().optional().describe('It undoes the files above its target.'),
  refused: engineName.optional().describe('Version of the file that is not rolled out, nor any after it; see message.'),
  wave: z.int().min(0).max(32).optional().describe('Which wave is open. 0 is the canary, if there is one.'),
  waves: z.int().min(0).max(32).optional().describe('Number of the last wave.'),
  cut: z
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('Which share of the tenants the waves have come to, in millionths.'),
  since: z.iso.datetime().optional().describe('When the present state began.'),
  startedAt: z.iso.datetime().optional().describe('When the rollout began.'),
  finishedAt: z.iso.datetime().optional().describe('When it ended.'),
  by: z.string().max(256).optional().describe('Who asked for it, as Kubernetes knows them.'),
  approve: z
    .string()
    .max(64)
    .optional()
    .describe('Value to give to the annotation tenantry.dev/approved. Absent: nothing has to be approved.'),
  counts: z
    .object({
      total: count.describe('Tenants that were there.'),
      atTarget: count.describe('Tenants that have the target.'),
      pending: count.describe('Tenants whose turn has not come, or is under way.'),
      failed: count.describe('Tenants for which a file failed.'),
      suspended: count.describe('Tenants that are suspended or paused, and catch up when they are not.'),
    })
    .optional()
    .describe('How many tenants, or shards where the tables are shared, are where.'),
  stragglers: z
    .array(straggler)
    .max(STRAGGLERS_MAX)
    .meta(ATOMIC)
    .optional()
    .describe(`Who is not at the target although its turn has come: the first ${STRAGGLERS_MAX}.`),
  message: message.optional().describe('How it stands, and what to do.'),
  digest: z.string().max(64).optional().describe('Identifies the files of this rollout, with their texts.'),
  released: z
    .array(z.string().max(32))
    .max(RELEASED_MAX)
    .meta(ATOMIC)
    .optional()
    .describe(
      'Files that rollouts have brought to everybody, with the beginnings of their checksums: every new tenant gets them.',
    ),
})

/** Where a tenant or a shard stands, as seen from its Database's rollout. */
export const SCHEMA_STATES = ['AtTarget', 'Pending', 'Failed', 'Skipped'] as const

/** The fields of a status that say where a tenant or a shard of shared tables stands. */
export const schemaProgress = {
  schemaState: z
    .enum(SCHEMA_STATES)
    .optional()
    .describe(
      'Where it stands in the rollout. Pending: its turn has not come; Skipped: it catches up when it is woken.',
    ),
  schemaTarget: engineName.optional().describe('Version that the rollout brings it to. Absent when it is there.'),
  schemaDigest: z.string().max(64).optional().describe('Files that schemaState speaks of, as status.rollout.digest.'),
}

export type SchemaSpec = Immutable<z.output<typeof schema>>
export type RolloutSpec = Immutable<z.output<typeof rollout>>
export type RolloutStatus = Immutable<z.output<typeof rolloutStatus>>
export type RolloutState = NonNullable<RolloutStatus['state']>
export type SchemaState = (typeof SCHEMA_STATES)[number]

/** What holds where `spec.schema.rollout` is absent. */
export const DEFAULT_ROLLOUT: RolloutSpec = rollout.parse({})

import { z } from 'zod'
import { AppError } from './errors.ts'

/** API group of every kind. */
export const GROUP = 'tenantry.dev'
/** The one served and stored version. */
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}` as const

/** Names any object of the cluster: the key of caches and queues. */
export interface ObjectKey {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** The part of an object's metadata that we read. All that the API server always sets on a namespaced object is required. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  /** RFC 3339. */
  readonly creationTimestamp: string
  /** RFC 3339; set once deletion was asked for. */
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
}

/** What a person writes as metadata. */
export interface ManifestMeta {
  readonly name: string
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** Objects come from a shared cache: nobody writes into them. */
export type Immutable<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer I)[]
    ? readonly Immutable<I>[]
    : { readonly [K in keyof T]: Immutable<T[K]> }

/**
 * A CEL validation rule. The message says what to do. `reason` is the field error the API server reports; it also has
 * FieldValueDuplicate, with which it drops the message, so that one is not offered.
 */
export interface Rule {
  readonly rule: string
  readonly message: string
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired'
}

/** Zod metadata that puts CEL rules on a node. */
export function rules(...list: readonly Rule[]): { 'x-kubernetes-validations': readonly Rule[] } {
  return { 'x-kubernetes-validations': list }
}

/** Zod metadata of a list whose items are merged by `key` under server-side apply. */
export function mapBy(key: string): {
  'x-kubernetes-list-type': 'map'
  'x-kubernetes-list-map-keys': readonly string[]
} {
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }
}

/** Zod metadata of a list of distinct scalars without order. */
export const SET = { 'x-kubernetes-list-type': 'set' } as const
/** Zod metadata of a list that one writer owns as a whole. */
export const ATOMIC = { 'x-kubernetes-list-type': 'atomic' } as const

/** A lower-case DNS label of at most 63 characters: names of entries, shards and namespaces. */
export const dnsLabel = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)

/** A lower-case DNS subdomain of at most 253 characters: names of objects. */
export const dnsSubdomain = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)

const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
const DURATION = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?$/

/** `90s`, `1h30m`, `250ms`: parts in falling order, each at least 1. At most 13 days, so that it fits every timer and server setting. */
export const duration = z
  .string()
  .min(2)
  .max(24)
  .regex(/^([1-9][0-9]?h)?([1-9][0-9]{0,3}m)?([1-9][0-9]{0,4}s)?([1-9][0-9]{0,5}ms)?$/)

/** As `duration` without milliseconds, so that it is at least one second. */
export const interval = z
  .string()
  .min(2)
  .max(24)
  .regex(/^([1-9][0-9]?h)?([1-9][0-9]{0,3}m)?([1-9][0-9]{0,4}s)?$/)

/** Milliseconds of a duration such as `1h30m`, `7d` or `250ms`. Throws AppError `InvalidSpec` for anything else. */
export function parseDuration(text: string): number {
  const parts = DURATION.exec(text)
  if (!parts || text === '')
    throw new AppError('InvalidSpec', `read the duration ${JSON.stringify(text)}: write it like 90s, 5m or 1h30m`)
  return Object.values(UNIT_MS).reduce((sum, ms, i) => sum + Number(parts[i + 1] ?? 0) * ms, 0)
}

const SUFFIX = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
} as const
const QUANTITY = /^(\d{1,15}(?:\.\d{1,3})?)(k|M|G|T|Ki|Mi|Gi|Ti|)$/

/** `64Mi`, `1.5Gi`, `200G` or plain bytes; more than zero. */
export const quantity = z
  .string()
  .max(20)
  .regex(/^[1-9][0-9]{0,5}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)$|^[1-9][0-9]{0,14}$/)

/** Bytes of a quantity such as `64Mi`, rounded up to a whole number. Throws AppError `InvalidSpec` for anything else. */
export function parseQuantity(text: string): number {
  const parts = QUANTITY.exec(text)
  const factor = SUFFIX[(parts?.[2] ?? '') as keyof typeof SUFFIX]
  if (!parts)
    throw new AppError('InvalidSpec', `read the size ${JSON.stringify(text)}: write it like 64Mi, 10Gi or 200G`)
  return Math.ceil((Math.round(Number(parts[1]) * 1000) * factor) / 1000)
}

/** Ceilings per tenant; in a Database the defaults, in a Tenant what overrides them one by one. */
export const limits = z.object({
  connections: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('Most sessions of one login at a time (PostgreSQL), or queries of the tenant at a time (ClickHouse).'),
  statementTimeout: duration
    .optional()
    .describe('A statement that runs longer is cancelled, for example 30s. Enforced by PostgreSQL and ClickHouse.'),
  memory: quantity
    .optional()
    .describe("Most memory that the tenant's queries use together, for example 512Mi. Enforced by ClickHouse."),
  queriesPerHour: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .describe('Queries that the tenant may start within one hour. Enforced by ClickHouse.'),
})

/** Longest message that a status field accepts, in characters. */
export const MESSAGE_MAX = 1024

/** Cuts text for a status field, so that a long server message never makes the whole status unwritable. */
export function clip(text: string, max: number = MESSAGE_MAX): string {
  const characters = Array.from(text.slice(0, 2 * max + 1))
  return characters.length <= max ? characters.join('') : `${characters.slice(0, max - 1).join('')}…`
}

/** One sentence for people in a status. */
export const message = z.string().max(MESSAGE_MAX)
/** A name that an engine or we chose, in a status. */
export const engineName = z.string().max(255)

export const ENGINES = ['PostgreSQL', 'Redis', 'ClickHouse'] as const
export const ISOLATIONS = ['Schema', 'Row', 'Database', 'Prefix'] as const
export const ACCESS = ['ReadWrite', 'ReadOnly'] as const
export const DELETION_POLICIES = ['Retain', 'Delete'] as const

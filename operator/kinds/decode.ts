import { GROUP } from '@tenantry/crds/common.ts'
import { type Database, type DatabaseSpec, databaseSpec, databaseStatus } from '@tenantry/crds/database.ts'
import { type Tenant, type TenantSpec, tenantSpec, tenantStatus } from '@tenantry/crds/tenant.ts'
import type { z } from 'zod'
import { databaseRules, type Flaw, flawsIn, tenantRules } from './flaws.ts'

/** Why a spec cannot be used. */
export interface Defect {
  /** For people: every flaw with its path, and what to do. */
  readonly message: string
  /** All that a deletion goes by is intact. */
  readonly deletable: boolean
}

/** What is wrong with an object of a store; undefined when its spec can be used. Whoever acts on a spec asks first. */
export function defectOf(object: object): Defect | undefined {
  return 'defect' in object ? (object.defect as Defect) : undefined
}

/**
 * A Tenant as it may be kept and worked with, whatever the API server let through: an older or newer CRD, or none. What
 * cannot be used is replaced by nothing and named by `defectOf`; labels and annotations that nobody reads are dropped.
 */
export function decodeTenant(object: Tenant): Tenant {
  return decode(object, TENANT)
}

/** As `decodeTenant`. Fields that are intact stay, so that a deletion can go by them. */
export function decodeDatabase(object: Database): Database {
  return decode(object, DATABASE)
}

interface Form<S extends object> {
  /** Whether anybody reads its labels. */
  readonly labels: boolean
  readonly spec: z.ZodObject
  readonly status: z.ZodObject
  readonly rules: (spec: S) => readonly Flaw[]
  /** What stands in for fields that cannot be used. */
  readonly substitutes: S
  /** Fields that keep their value where they are intact, though others are not. */
  readonly kept: readonly string[]
  /** Fields whose value decides what a deletion does. */
  readonly decisive: readonly string[]
}

const TENANT: Form<TenantSpec> = {
  labels: true,
  spec: tenantSpec,
  status: tenantStatus,
  rules: tenantRules,
  substitutes: { databases: [], suspended: false, deletionPolicy: 'Retain' },
  kept: ['deletionPolicy'],
  decisive: ['deletionPolicy'],
}

const DATABASE: Form<DatabaseSpec> = {
  labels: false,
  spec: databaseSpec,
  status: databaseStatus,
  rules: databaseRules,
  substitutes: {
    engine: 'PostgreSQL',
    purpose: 'Custom',
    isolation: 'Schema',
    replicas: 1,
    shards: [],
    allowedTenants: { namespaces: { from: 'Same' } },
    deletionPolicy: 'Retain',
    interval: '5m',
    mode: 'Plan',
    approval: 'All',
  },
  kept: ['engine', 'isolation', 'shards', 'deletionPolicy', 'interval', 'mode', 'approval'],
  decisive: ['engine', 'isolation', 'shards', 'deletionPolicy', 'mode', 'approval'],
}

interface Kept {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: object
  readonly status?: object
}

function decode<T extends Kept>(object: T, form: Form<T['spec']>): T {
  const { status, metadata } = object
  const { spec, defect } = decodeSpec(object.spec, form)
  return {
    ...object,
    metadata: lean(metadata, form.labels),
    spec,
    ...(status !== undefined && { status: decodeStatus(status, form.status) }),
    ...(defect && { defect }),
  }
}

function decodeSpec<S extends object>(raw: unknown, form: Form<S>): { spec: S; defect?: Defect } {
  const parsed = form.spec.safeParse(raw)
  const flaws = parsed.success ? form.rules(parsed.data as S) : flawsIn('spec', raw, parsed.error.issues)
  if (flaws.length === 0) return { spec: (parsed.success ? parsed.data : raw) as S }
  const broken = new Set(flaws.map(({ field }) => field))
  const kept = form.kept.filter((field) => !broken.has(field))
  const intact = kept.flatMap((field) => intactField(form.spec, raw, field))
  const known = new Set(intact.map(([field]) => field))
  const deletable = form.decisive.every((field) => known.has(field))
  return { spec: { ...form.substitutes, ...Object.fromEntries(intact) }, defect: { deletable, message: tell(flaws) } }
}

/** The value of one field, with its default, where it can be used by itself. */
function intactField(spec: z.ZodObject, raw: unknown, field: string): readonly (readonly [string, unknown])[] {
  const value = isObject(raw) ? raw[field] : undefined
  const parsed = (spec.shape[field] as z.ZodType | undefined)?.safeParse(value)
  return parsed?.success ? [[field, parsed.data]] : []
}

/** A status can be written again from nothing: fields that have another shape than expected are left out. */
function decodeStatus<S extends object>(status: S, schema: z.ZodObject): S {
  if (!isObject(status)) return {} as S
  const issues = schema.safeParse(status).error?.issues ?? []
  const broken = new Set(issues.filter(({ code }) => code === 'invalid_type').map(({ path }) => String(path[0])))
  if (broken.size === 0) return status
  return Object.fromEntries(Object.entries(status).filter(([field]) => !broken.has(field))) as S
}

/** Ten thousand objects with a megabyte of labels each must not be ten gigabytes here. */
function lean<M extends Kept['metadata']>(metadata: M, labelled: boolean): M {
  const { annotations, labels = {}, ...kept } = metadata as M & { labels?: Readonly<Record<string, string>> }
  const ours = Object.entries(annotations ?? {}).filter(([name]) => name.startsWith(`${GROUP}/`))
  const told = labelled ? Object.entries(labels) : []
  const few = told.length > 0 && told.length <= MOST_LABELS
  return {
    ...kept,
    ...(ours.length > 0 && { annotations: Object.fromEntries(ours) }),
    ...(few && { labels: Object.fromEntries(told) }),
  } as M
}

/** Whoever has more has no labels here, and is chosen by none. */
const MOST_LABELS = 32

const MOST_TOLD = 5

function tell(flaws: readonly Flaw[]): string {
  const told = flaws.slice(0, MOST_TOLD).map(({ path, what }) => `${path} ${what}`)
  const more = flaws.length > MOST_TOLD ? `; and ${flaws.length - MOST_TOLD} more` : ''
  return `${told.join('; ')}${more}. Nothing is changed or dropped until it is corrected, or the operator brought to a version that knows it`
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

import { z } from 'zod'
import type { Rule } from './common.ts'
import { AppError } from './errors.ts'

/** A node of a structural OpenAPI v3 schema, as a CustomResourceDefinition wants it. */
export interface Structural {
  readonly description?: string
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly format?: 'int32' | 'int64' | 'date-time'
  readonly nullable?: true
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minItems?: number
  readonly maxItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Structural>>
  readonly additionalProperties?: Structural
  readonly items?: Structural
  readonly 'x-kubernetes-list-type'?: 'map' | 'set' | 'atomic'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-validations'?: readonly Rule[]
}

type Node = Readonly<Record<string, unknown>>

/** Also the order in which they are written: what a reader wants first comes first. */
const KEYWORDS = [
  'description',
  'type',
  'format',
  'nullable',
  'enum',
  'default',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
] as const

/** Zod checks that come out as keywords. The others run in JavaScript only, so the API server would let everything pass. */
const CHECKS = new Set([
  'max_length',
  'min_length',
  'length_equals',
  'greater_than',
  'less_than',
  'string_format',
  'number_format',
])

/** Zod types whose stored form differs from the parsed one, or that change values on the way in. */
const CHANGING = new Set(['pipe', 'transform', 'catch', 'prefault', 'lazy', 'promise', 'custom'])

/**
 * Rewrites a zod schema into a structural schema. `path` begins the messages. Throws AppError `Internal` that names the
 * field for everything that the API server would reject, ignore or be unable to bound: unions, tuples, recursion, strict
 * and loose objects, transforms and refinements, floats, strings, lists and maps without a maximum, lists of objects
 * without a list type, fields without a description.
 */
export function toStructural(schema: z.ZodType, path: string): Structural {
  let json: unknown
  try {
    json = z.toJSONSchema(schema, {
      target: 'openapi-3.0',
      io: 'input',
      reused: 'inline',
      cycles: 'throw',
      override: ({ zodSchema }) => refuseSilentLoss(zodSchema, path),
    })
  } catch (error) {
    if (error instanceof AppError) throw error
    throw unfit(path, error instanceof Error ? error.message : String(error))
  }
  return rewrite(json as Node, path)
}

function refuseSilentLoss(schema: z.core.$ZodTypes, path: string): void {
  const def = schema._zod.def
  if (CHANGING.has(def.type) || ('coerce' in def && def.coerce))
    throw unfit(path, `${def.type} changes values; the API server stores what was sent`)
  if (def.type === 'record' && !isPlainString(def.keyType))
    throw unfit(path, 'checks on the keys of a record are lost; write a CEL rule')
  for (const { _zod } of def.checks ?? [])
    if (!CHECKS.has(_zod.def.check)) throw unfit(path, `a check of kind ${_zod.def.check} is lost; write a CEL rule`)
}

function isPlainString(key: z.core.$ZodType): boolean {
  return key._zod.def.type === 'string' && (key._zod.def.checks ?? []).length === 0
}

function rewrite(node: Node, path: string): Structural {
  const rewritten: Record<string, unknown> = { ...node, ...REWRITE[typeOf(node, path)](node, path) }
  if ('nullable' in node && 'default' in node) throw unfit(path, 'nullable and default exclude each other')
  const known: readonly string[] = KEYWORDS
  const stranger = Object.keys(rewritten).find((key) => rewritten[key] !== undefined && !known.includes(key))
  if (stranger !== undefined) throw unfit(path, `${stranger} is not allowed in a structural schema`)
  const ordered = KEYWORDS.flatMap((key) => (rewritten[key] === undefined ? [] : [[key, rewritten[key]]]))
  return Object.fromEntries(ordered)
}

function typeOf(node: Node, path: string): Structural['type'] {
  const combined = ['anyOf', 'oneOf', 'allOf', 'not', '$ref'].find((key) => key in node)
  if (combined) throw unfit(path, `${combined} is not allowed in a structural schema; flatten it and write a CEL rule`)
  if (typeof node.type === 'string' && node.type in REWRITE) return node.type as Structural['type']
  throw unfit(path, node.type === 'number' ? 'floats do not survive every client; use z.int()' : 'has no usable type')
}

const REWRITE: Record<Structural['type'], (node: Node, path: string) => Node> = {
  boolean: () => ({}),
  integer: rewriteInteger,
  string: rewriteString,
  array: rewriteArray,
  object: (node, path) => ('additionalProperties' in node ? rewriteMap(node, path) : rewriteObject(node, path)),
}

const INT32_MAX = 2_147_483_647

/** Zod writes the limits of JavaScript's numbers as if someone had asked for them. */
function rewriteInteger(node: Node, path: string): Node {
  if ('exclusiveMinimum' in node || 'exclusiveMaximum' in node)
    throw unfit(path, 'use min and max, which include the bound')
  const { minimum, maximum } = node
  const fits =
    typeof maximum === 'number' && maximum <= INT32_MAX && typeof minimum === 'number' && minimum >= -INT32_MAX
  return {
    minimum: minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum,
    maximum: maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum,
    format: fits ? 'int32' : 'int64',
  }
}

function rewriteString(node: Node, path: string): Node {
  if (node.format === 'date-time') return { pattern: undefined }
  if ('format' in node) throw unfit(path, `format ${node.format} means something else to the API server; use a regex`)
  if (!('enum' in node) && !('maxLength' in node)) throw unfit(path, 'needs a maximum length')
  return {}
}

function rewriteArray(node: Node, path: string): Node {
  if (!('maxItems' in node)) throw unfit(path, 'needs a maximum number of items')
  const items = rewrite(node.items as Node, `${path}[]`)
  const keys = (node['x-kubernetes-list-map-keys'] ?? []) as readonly string[]
  if (!('x-kubernetes-list-type' in node)) throw unfit(path, 'needs a list type: map, set or atomic')
  if (keys.some((key) => !items.required?.includes(key))) throw unfit(path, 'the keys of a map list must be required')
  return { items }
}

function rewriteMap(node: Node, path: string): Node {
  const value = node.additionalProperties
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0 || 'properties' in node)
    throw unfit(path, 'use z.object or z.record: strict and loose objects are not expressible')
  if (!('maxProperties' in node)) throw unfit(path, 'needs a maximum number of keys')
  return { additionalProperties: rewrite(value as Node, `${path}{}`), propertyNames: undefined }
}

function rewriteObject(node: Node, path: string): Node {
  const fields = Object.entries((node.properties ?? {}) as Readonly<Record<string, Node>>)
  const properties = Object.fromEntries(
    fields.map(([name, field]) => {
      const at = `${path}.${name}`
      if (typeof field.description !== 'string') throw unfit(at, 'needs a description')
      return [name, rewrite(field, at)]
    }),
  )
  return { properties, required: (node.required as readonly string[] | undefined)?.length ? node.required : undefined }
}

function unfit(path: string, problem: string): AppError {
  return new AppError('Internal', `make a CRD schema of ${path}: ${problem}`)
}

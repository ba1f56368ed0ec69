import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { mapBy, rules, SET } from './common.ts'
import { kindSchema } from './crd.ts'
import { KINDS } from './kinds.ts'
import { type Structural, toStructural } from './structural.ts'

const text = z.string().max(9)
const field = (schema: z.ZodType) => toStructural(z.object({ f: schema.describe('A field.') }), 'spec').properties?.f

describe('toStructural', () => {
  test('takes a default into the schema without making the field required', () => {
    const schema = toStructural(z.object({ a: text.default('x').describe('A.'), b: text.describe('B.') }), 'spec')
    expect(schema).toEqual({
      type: 'object',
      required: ['b'],
      properties: {
        a: { description: 'A.', type: 'string', default: 'x', maxLength: 9 },
        b: { description: 'B.', type: 'string', maxLength: 9 },
      },
    })
  })

  test("drops the limits of JavaScript's numbers and says how wide the integer is", () => {
    expect(field(z.int())).toEqual({ description: 'A field.', type: 'integer', format: 'int64' })
    expect(field(z.int().min(1).max(9))).toMatchObject({ format: 'int32', minimum: 1, maximum: 9 })
    expect(field(z.int().min(0))).toEqual({ description: 'A field.', type: 'integer', format: 'int64', minimum: 0 })
  })

  test('drops the pattern of a time, which refuses offsets', () => {
    expect(field(z.iso.datetime())).toEqual({ description: 'A field.', type: 'string', format: 'date-time' })
  })

  test('writes a reused schema twice, without a reference', () => {
    const shared = z.object({ x: text.describe('X.') })
    const schema = toStructural(z.object({ a: shared.describe('A.'), b: shared.describe('B.') }), 'spec')
    expect(schema.properties?.a?.properties).toEqual(schema.properties?.b?.properties)
    expect(JSON.stringify(schema)).not.toContain('$ref')
  })

  test('merges an intersection of objects', () => {
    const both = z.intersection(z.object({ a: text.describe('A.') }), z.object({ b: text.describe('B.') }))
    expect(Object.keys(field(both)?.properties ?? {})).toEqual(['a', 'b'])
  })

  test('passes list types, keys and CEL rules through', () => {
    const rule = { rule: 'size(self) > 0', message: 'add one' }
    const list = z
      .array(z.object({ name: text.describe('N.') }))
      .max(3)
      .meta({ ...mapBy('name'), ...rules(rule) })
    expect(field(list)).toMatchObject({
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-validations': [rule],
    })
  })

  test('makes a map of a record with a plain key', () => {
    const map = field(z.record(z.string(), text).meta({ maxProperties: 2 }))
    expect(map).toMatchObject({ type: 'object', maxProperties: 2, additionalProperties: { type: 'string' } })
    expect(map).not.toHaveProperty('properties')
  })

  const refused: readonly (readonly [string, z.ZodType, RegExp])[] = [
    ['a union', z.union([text, z.int()]), /anyOf/],
    [
      'a discriminated union',
      z.discriminatedUnion('t', [z.object({ t: z.literal('a') }), z.object({ t: z.literal('b') })]),
      /anyOf|oneOf/,
    ],
    ['two patterns', text.regex(/a/).regex(/b/), /allOf/],
    ['a schema with an id, which becomes a reference', text.meta({ id: 'Shared' }), /allOf|\$ref/],
    ['anything', z.any(), /no usable type/],
    ['unknown', z.unknown(), /no usable type/],
    ['a tuple', z.tuple([text, text]), /.+/],
    ['a date', z.date(), /[Dd]ate/],
    ['a bigint', z.bigint(), /.+/],
    ['a transform', text.transform(Number), /changes values/],
    ['a preprocess', z.preprocess(String, text), /changes values/],
    ['a coercion', z.coerce.number().int(), /changes values/],
    ['a catch', text.catch('x'), /changes values/],
    ['a refinement', text.refine((value) => value !== 'x'), /check of kind custom is lost/],
    ['trimming', text.trim(), /check of kind overwrite is lost/],
    ['a float', z.number(), /floats/],
    ['an exclusive bound', z.int().gt(0), /include the bound/],
    ['an e-mail address', z.email().max(9), /format email/],
    ['a string without a maximum', z.string(), /maximum length/],
    ['a list without a maximum', z.array(text).meta(SET), /maximum number of items/],
    ['a list without a list type', z.array(text).max(2), /list type/],
    [
      'a map list whose key may be absent',
      z
        .array(z.object({ k: text.optional().describe('K.') }))
        .max(2)
        .meta(mapBy('k')),
      /required/,
    ],
    ['a map without a maximum', z.record(z.string(), text), /maximum number of keys/],
    ['a map with checked keys', z.record(text, text).meta({ maxProperties: 2 }), /keys of a record are lost/],
    ['a strict object', z.strictObject({ a: text.describe('A.') }), /strict and loose/],
    ['a loose object', z.looseObject({ a: text.describe('A.') }), /strict and loose/],
    ['nullable with a default', text.nullable().default(null), /nullable and default/],
    ['a keyword that a CRD does not have', text.meta({ examples: ['a'] }), /examples is not allowed/],
  ]
  test.each(refused)('refuses %s and names the field', (_, schema, message) => {
    expect(() => field(schema)).toThrow(expect.objectContaining({ code: 'Internal' }))
    expect(() => field(schema)).toThrow(message)
    expect(() => field(schema)).toThrow(/^make a CRD schema of spec/)
  })

  test('refuses recursion', () => {
    const tree: z.ZodType = z.object({
      get child() {
        return tree.optional().describe('Child.')
      },
    })
    expect(() => field(tree)).toThrow(/make a CRD schema of spec/)
  })

  test('refuses a field without a description', () => {
    expect(() => toStructural(z.object({ a: text }), 'spec')).toThrow(/spec\.a: needs a description/)
  })
})

describe('the kinds', () => {
  test.each(KINDS)('$kind has bounded text, a sentence on every field and nothing required in its status', (kind) => {
    const schema = kindSchema(kind)
    expect(schema.properties?.status).not.toHaveProperty('required')
    const nodes = [...walk(schema.properties?.spec), ...walk(schema.properties?.status)]
    expect(nodes.length).toBeGreaterThan(40)
    for (const node of nodes) if (node.description) expect(node.description).toMatch(/^[A-Z$<a-z].*[.]$/)
  })

  test.each(KINDS)('$kind says in each rule what to do', (kind) => {
    const messages = walk(kindSchema(kind)).flatMap((node) => node['x-kubernetes-validations'] ?? [])
    expect(messages.length).toBeGreaterThan(3)
    for (const { message } of messages) expect(message.length).toBeGreaterThan(20)
  })
})

function walk(node: Structural | undefined): Structural[] {
  if (!node) return []
  const below = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties]
  return [node, ...below.flatMap((child) => walk(child))]
}

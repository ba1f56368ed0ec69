import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { customResourceDefinition } from './crd.ts'
import { ERRORS } from './errors.ts'
import { generate } from './generate.ts'
import { KINDS } from './kinds.ts'

const text = (path: string): string => generate().find((file) => file.path === path)?.text ?? ''

describe('the generated files', () => {
  test.each(KINDS)('hold the whole definition of $kind, small enough for kubectl apply', (kind) => {
    const yaml = text(`crds/generated/tenantry.dev_${kind.plural}.yaml`)
    expect(parse(yaml)).toEqual(JSON.parse(JSON.stringify(customResourceDefinition(kind))))
    expect(yaml).not.toMatch(/[&*]a\d/)
    expect(Buffer.byteLength(yaml)).toBeLessThan(262_144)
  })

  test.each(KINDS)('have a reference of $kind with a row for every field of its spec', (kind) => {
    const page = text(`docs/reference/${kind.singular}.md`)
    expect(page).toContain(`\n# ${kind.kind}\n`)
    const fields = Object.keys((kind.spec as unknown as { shape: object }).shape)
    for (const field of fields) expect(page).toContain(`\n| \`${field}\` | `)
  })

  test('have a row per field that a table can show, whatever is in the description', () => {
    for (const { path, text } of generate().filter((file) => file.path.endsWith('.md')))
      for (const row of text.split('\n').filter((line) => line.startsWith('|')))
        expect(row.split(/(?<!\\)\|/), `${path}: ${row}`).toHaveLength(6)
  })

  test('have a heading for each error code, with its title and what happens next', () => {
    const page = text('docs/reference/errors.md')
    for (const [code, { title }] of Object.entries(ERRORS))
      expect(page).toMatch(new RegExp(`\n## ${code}\n\n${title}\\.\n\n(Tried|Not tried)`))
  })
})

import { expect, test } from 'vitest'
import type { SqlText } from '../model.ts'
import { bind } from './bind.ts'

const body = `SELECT :"schema", :'schema', :'tenant'; SELECT :'tenant'`
const at = (what: string, from = 0) => ({
  start: body.indexOf(what, from),
  end: body.indexOf(what, from) + what.length,
})
const file: SqlText = {
  name: '1.sql',
  checksum: '',
  body,
  placeholders: [
    { ...at(`:'tenant'`, 40), value: 'tenant', as: 'literal' },
    { ...at(':"schema"'), value: 'schema', as: 'identifier' },
    { ...at(`:'schema'`), value: 'schema', as: 'literal' },
    { ...at(`:'tenant'`), value: 'tenant', as: 'literal' },
  ],
}

test('placeholders become quoted values, whatever is in them and in whatever order they are listed', () => {
  const bound = bind(file, { schema: `we"ird 'na.me`, tenant: `ns/o'neill` })
  expect(bound).toBe(`SELECT "we""ird 'na.me", 'we"ird ''na.me', 'ns/o''neill'; SELECT 'ns/o''neill'`)
})

test('of a range only its own placeholders are bound', () => {
  const start = body.indexOf('SELECT', 1)
  expect(bind(file, { schema: 's', tenant: 'n/t' }, { start, end: body.length })).toBe(`SELECT 'n/t'`)
  expect(bind({ ...file, placeholders: [] }, { schema: 's', tenant: 't' })).toBe(body)
})

import { loadModule, parsePlPgSQLSync, parseSync } from 'libpg-query'
import { beforeAll, describe, expect, test } from 'vitest'
import { FUNCTIONS } from './install.ts'
import { defineFunction, inSchema, signature } from './sql/define.ts'
import { TABLES } from './sql/tables.ts'

const HOSTILE = `we'ird "$1" \\ $$;-- $s. $oid(job)`

beforeAll(() => loadModule())

describe.each(['tenantry_queue', HOSTILE])('in a schema named %s', (schema) => {
  test.each(FUNCTIONS.map((fn) => [fn.name, fn] as const))('function %s parses', (_, fn) => {
    for (const text of defineFunction(schema, fn)) {
      expect(parseSync(text).stmts).toHaveLength(1)
    }
    const [text = ''] = defineFunction(schema, fn)
    expect(() => parsePlPgSQLSync(text)).not.toThrow()
  })

  test.each(FUNCTIONS.map((fn) => [fn.name, fn] as const))('the signature of function %s parses', (_, fn) => {
    expect(() => parseSync(`GRANT EXECUTE ON FUNCTION ${signature(schema, fn)} TO x`)).not.toThrow()
  })

  test('every statement of the tables parses', () => {
    for (const text of TABLES) expect(parseSync(inSchema(text, schema)).stmts).toHaveLength(1)
  })
})

import fc from 'fast-check'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { useStack } from '../../test/support/stack.ts'
import { clientConfig } from './connection.ts'

const times = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }

test('arrays of texts arrive as they are in the server, whatever is in them', async () => {
  const client = new Client(clientConfig(useStack().postgres, times))
  await client.connect()
  onTestFinished(() => client.end())
  const hostile = fc.constantFrom(
    '',
    ' ',
    ',',
    '"',
    '\\',
    '{',
    '}',
    'NULL',
    'null',
    '\n',
    "'",
    'a=r/b',
    '"a b"=U/"c"',
    'é😀',
  )
  const text = fc.oneof(
    hostile,
    fc.string({ unit: 'grapheme' }),
    fc.array(hostile).map((parts) => parts.join('')),
  )
  const storable = text.filter((value) => !value.includes('\0'))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(storable, { freq: 8 })), async (values) => {
      const { rows } = await client.query('SELECT $1::text[] AS found', [values])
      expect(rows).toEqual([{ found: values }])
    }),
    { numRuns: 300 },
  )
})

import type { Database } from '@tenantry/crds/database.ts'
import type { MigrationFile } from '@tenantry/engines/model.ts'
import { expect, test } from 'vitest'
import { wantedOf } from './fleet.ts'

function file(version: string): MigrationFile {
  const text = { name: `${version}.sql`, checksum: version, body: 'SELECT 1' }
  return { version, ...text, down: { ...text, guards: [] } }
}

test('files above the target of the Database are to be undone', () => {
  const database = { spec: { isolation: 'Schema' } } as Database
  const fleet = { database, shared: false, files: [file('1')], reverted: [file('2')], shards: [], unplaced: [] }
  const files = wantedOf(fleet, { schema: 't_acme', tenant: 'shop/acme' }).filter(({ kind }) =>
    /^(Migr|Rev)/.test(kind),
  )
  expect(files.map(({ kind, spec }) => [kind, Reflect.get(Object(spec), 'version')])).toEqual([
    ['Migration', '1'],
    ['Reversal', '2'],
  ])
})

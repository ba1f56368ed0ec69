import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freshPostgres } from '../../../test/support/stack.ts'
import type { Connection } from '../../model.ts'
import { postgres } from '../engine.ts'
import { byHand, OPTIONS, signal, sqlFile } from '../testing/lab.ts'

const TABLES = {
  files: `version text, schema text, name text, checksum text, finished_at timestamptz, applied_by text, retired_at timestamptz`,
  events: `version text, schema text, seq int, event text, name text, checksum text, finished_at timestamptz, applied_by text, run_by text`,
} as const

const [ONE, TWO] = [sqlFile('1', 'CREATE TABLE a (id int)'), sqlFile('2', 'CREATE TABLE b (id int)')]

const sessionOn = (admin: Connection) => {
  const session = postgres.connect(admin, OPTIONS)
  onTestFinished(() => session.close())
  return session
}

async function ledger(form: keyof typeof TABLES, rows: readonly (readonly (string | number | null)[])[]) {
  const admin = await freshPostgres()
  const value = (one: string | number | null): string => (one === null ? 'NULL' : `'${one}'`)
  const values = rows.map((row) => `(${row.map(value).join(', ')})`).join(', ')
  await byHand(
    admin,
    'CREATE SCHEMA tenantry',
    `CREATE TABLE tenantry.migration (${TABLES[form]})`,
    `INSERT INTO tenantry.migration VALUES ${values}`,
  )
  return admin
}

const at = (hour: number): string => `2026-01-01T0${hour}:00:00.000Z`

describe('a ledger with a row for each file', () => {
  let admin: Connection
  beforeAll(async () => {
    admin = await ledger('files', [
      ['1', 'x', '1.sql', ONE.checksum, at(1), 'ann', null],
      ['1', 'y', '1.sql', ONE.checksum, at(3), 'bob', null],
      ['1', 'z', '1.sql', ONE.checksum, at(2), 'ann', at(4)],
      ['2', 'y', '2.sql', TWO.checksum, at(4), 'ann', null],
    ])
  })

  test('tells when each file came first and last, to how many, and by whom', async () => {
    const session = sessionOn(admin)
    const all = await session.history?.(undefined, signal)
    const first = { version: '1', live: 2, retired: 1, failures: 0, by: ['ann', 'bob'] }
    expect(all).toMatchObject([
      { ...first, firstAt: new Date(at(1)), lastAt: new Date(at(3)) },
      { version: '2', live: 1 },
    ])
    expect(await session.history?.(['z'], signal)).toMatchObject([{ version: '1', live: 0, retired: 1 }])
  })
})

describe('a ledger with a row for each event', () => {
  let admin: Connection
  beforeAll(async () => {
    admin = await ledger('events', [
      ['1', 'x', 1, 'apply', '1.sql', ONE.checksum, at(1), 'op', 'ann'],
      ['2', 'x', 1, 'apply', '2.sql', TWO.checksum, at(2), 'op', null],
      ['2', 'x', 2, 'revert', '2.sql', TWO.checksum, at(3), 'op', 'ann'],
      ['1', 'y', 1, 'fail', '1.sql', 'old', at(1), 'op', 'ann'],
      ['1', 'y', 2, 'apply', '1.sql', 'old', at(2), 'op', 'ann'],
      ['1', 'y', 3, 'repair', '1.sql', ONE.checksum, at(4), 'op', 'bob'],
      ['3', 'y', 1, 'fail', '3.sql', 'bad', at(5), 'op', 'bob'],
    ])
  })

  test('tells of failures, of what was undone and of texts that were replaced as well', async () => {
    const files = await sessionOn(admin).history?.(undefined, signal)
    const told = files?.map(({ version, checksum, live, retired, failures, by }) => [
      `${version} ${checksum === ONE.checksum ? 'new' : checksum.slice(0, 3)}`,
      { live, retired, failures, by },
    ])
    expect(told).toEqual([
      ['1 new', { live: 2, retired: 0, failures: 0, by: ['ann', 'bob'] }],
      ['1 old', { live: 0, retired: 1, failures: 1, by: ['ann'] }],
      [`2 ${TWO.checksum.slice(0, 3)}`, { live: 0, retired: 1, failures: 0, by: ['op'] }],
      ['3 bad', { live: 0, retired: 0, failures: 1, by: [] }],
    ])
    expect(files?.at(-1)).toMatchObject({ firstAt: null, lastAt: null })
  })
})

test('where there is no ledger there is no history', async () => {
  const session = sessionOn(await freshPostgres())
  expect(await session.history?.(undefined, signal)).toEqual([])
})

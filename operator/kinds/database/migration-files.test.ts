import { describe, expect, test } from 'vitest'
import { migrationFiles } from './migration-files.ts'

const filesOf = (data: Record<string, string>) => migrationFiles([{ name: 'cm', data }])
const versions = (data: Record<string, string>) => filesOf(data).map((file) => file.version)

describe('migrationFiles', () => {
  test('orders files by their number, not by their text', () => {
    expect(versions({ '10_b.sql': 'x', '9_a.sql': 'y', 'V20260101120000__c.sql': 'z' })).toEqual([
      '9',
      '10',
      '20260101120000',
    ])
  })

  test('ignores what is not SQL and keeps the same checksum for other line ends', () => {
    const unix = filesOf({ '1_a.sql': 'select 1;\nselect 2;\n', 'README.md': '' })
    const dos = filesOf({ '1_a.sql': 'select 1;\r\nselect 2;\r\n' })
    expect(unix).toEqual(dos)
    expect(unix).toHaveLength(1)
  })

  test('refuses a file without a number and two files with the same one', () => {
    expect(() => versions({ 'tables.sql': 'x' })).toThrow(/tables.sql of ConfigMap cm.*must start with a number/)
    const twice = [
      { name: 'one', data: { '01_a.sql': '' } },
      { name: 'two', data: { '1_b.sql': '' } },
    ]
    expect(() => migrationFiles(twice)).toThrow(/01_a.sql of ConfigMap one and 1_b.sql of ConfigMap two/)
  })

  test('finds what undoes a file beside it, and refuses what undoes nothing', () => {
    const [file] = filesOf({ '01_a.sql': 'select 1', '01_a.down.sql': 'select 2' })
    expect(file).toMatchObject({ version: '1', undo: { name: '01_a.down.sql', body: 'select 2' } })
    expect(() => filesOf({ '01_a.sql': '', '01_b.down.sql': '' })).toThrow(/01_b\.down\.sql.*no 01_b\.sql/)
  })

  test('reads the header, and refuses a file that requires one which is not before it', () => {
    const [, file] = filesOf({ '1_a.sql': '', '2_b.sql': '-- tx: none\n-- requires: 01\nselect 1' })
    expect(file?.header).toEqual({ transaction: false, requires: '1' })
    expect(versions({ '1_a.sql': '', '5_b.sql': '-- requires: 1\n' })).toEqual(['1', '5'])
    for (const requires of ['3', '2', '4']) {
      const data = { '1_a.sql': '', '2_b.sql': `-- requires: ${requires}\n`, '4_c.sql': '' }
      expect(() => filesOf(data)).toThrow(`2_b.sql of ConfigMap cm requires ${requires}`)
    }
  })

  test('refuses a file of more than five megabytes', () => {
    expect(filesOf({ '1_a.sql': 'x'.repeat(5 * 1024 * 1024) })).toHaveLength(1)
    expect(() => filesOf({ '1_a.sql': 'ü'.repeat(3 * 1024 * 1024) })).toThrow(
      /1_a\.sql.*has 6291456 bytes, and at most/,
    )
  })
})

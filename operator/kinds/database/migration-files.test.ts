import { describe, expect, test } from 'vitest'
import { migrationFiles } from './migration-files.ts'

const versions = (data: Record<string, string>) => migrationFiles([{ name: 'cm', data }]).map((file) => file.version)

describe('migrationFiles', () => {
  test('orders files by their number, not by their text', () => {
    expect(versions({ '10_b.sql': 'x', '9_a.sql': 'y', 'V20260101120000__c.sql': 'z' })).toEqual([
      '9',
      '10',
      '20260101120000',
    ])
  })

  test('ignores what is not SQL and keeps the same checksum for other line ends', () => {
    const unix = migrationFiles([{ name: 'cm', data: { '1_a.sql': 'select 1;\nselect 2;\n', 'README.md': '' } }])
    const dos = migrationFiles([{ name: 'cm', data: { '1_a.sql': 'select 1;\r\nselect 2;\r\n' } }])
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
})

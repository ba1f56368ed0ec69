import { expect, test } from 'vitest'
import { forecastJson, forecastText, type Pending } from './forecast.ts'

const file = (version: string) => ({ version, name: `${version}.sql` })
const member = (tenant: string, version: string | undefined, ...files: Pending['files']): Pending => ({
  tenant,
  shard: 's0',
  schema: `t_${tenant}`,
  ...(version !== undefined && { version }),
  files,
})

const FORECAST = {
  database: 'platform/oltp',
  target: '10',
  members: [
    member('shop/acme', '10'),
    member('shop/globex', '9', file('10')),
    member('shop/new', undefined, file('9'), file('10')),
  ],
  unplaced: ['shop/waiting'],
}

test('those with files pending are told one by one, and the fleet by version, the newest first', () => {
  expect(forecastText(FORECAST, 100)).toBe(`TENANT       SHARD  VERSION  TARGET  PENDING
shop/globex  s0     9        10      10.sql
shop/new     s0     -        10      9.sql, 10.sql

Database platform/oltp: 3 schemas, 2 with files pending
  at 10: 1 (target)
  at 9: 1
  at none: 1
  without a place yet: 1
`)
})

test('no line of the table is longer than the terminal is wide', () => {
  const files = Array.from({ length: 50 }, (_, n) => file(String(n)))
  const [head, row] = forecastText({ ...FORECAST, members: [member('shop/new', undefined, ...files)] }, 60).split('\n')
  expect(head?.length).toBeLessThanOrEqual(60)
  expect(row).toMatch(/^shop\/new .*…$/)
  expect(row?.length).toBe(60)
})

test('statements follow, and what keeps a file from being applied is told', () => {
  const blocked = { ...file('10'), blocked: '10.sql changed after it was applied' }
  const one = { ...member('shop/acme', '10', blocked), sql: ['CREATE TABLE a ();'] }
  const text = forecastText({ ...FORECAST, members: [one] }, 100)
  expect(text).toContain('-- shop/acme: schema t_shop/acme\nCREATE TABLE a ();\n')
  expect(text).toContain('shop/acme: 10.sql changed after it was applied')
})

test('JSON has every member, and numbers for programs', () => {
  expect(JSON.parse(forecastJson(FORECAST))).toMatchObject({
    database: 'platform/oltp',
    target: '10',
    pending: 2,
    versions: { 10: 1, 9: 1, none: 1 },
    members: [{ tenant: 'shop/acme', files: [] }, { version: '9' }, { files: [{ name: '9.sql' }, { name: '10.sql' }] }],
    unplaced: ['shop/waiting'],
  })
})

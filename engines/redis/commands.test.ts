import { expect, test } from 'vitest'
import { accessRules, allowedCommands, type CommandTable } from './commands.ts'

const entries: [string, string[], boolean][] = [
  ['get', ['read', 'string'], true],
  ['set', ['write', 'string'], true],
  ['scan', ['read', 'keyspace'], false],
  ['ft.search', ['read', 'search'], false],
  ['ts.mrange', ['read', 'timeseries'], false],
  ['flushall', ['write', 'dangerous'], false],
  ['ping', ['connection'], false],
  ['client|id', ['connection'], false],
  ['client|list', ['connection', 'dangerous', 'admin'], false],
  ['client|tracking', ['connection'], false],
  ['select', ['connection'], false],
]
const table: CommandTable = new Map(entries.map(([name, categories, keyed]) => [name, { name, categories, keyed }]))
const allowed = (rules: string): string[] => [...allowedCommands(rules, table)].sort()

test.each([
  ['', []],
  ['+@all -@read -@write', ['client|id', 'client|list', 'client|tracking', 'ping', 'select']],
  ['allcommands nocommands +get', ['get']],
  ['+@connection -client', ['ping', 'select']],
  ['+client|id', ['client|id']],
  ['+select|0', ['select|0']],
  ['+select|0 -select', []],
  ['+get -@read', []],
  ['-@read +GET', ['get']],
])('rules apply from left to right: %s', (rules, expected) => {
  expect(allowed(rules)).toEqual(expected)
})

test('a reading command that names no key is taken away, also one that only a module brings', () => {
  expect(allowed(accessRules('ReadWrite', table).join(' '))).toEqual(['client|id', 'get', 'ping', 'set'])
  expect(allowed(accessRules('ReadOnly', table).join(' '))).toEqual(['client|id', 'get', 'ping'])
})

test('rules name only commands that the server knows, because it refuses the others', () => {
  const named = accessRules('ReadWrite', table).filter((r) => !r.includes('@'))
  expect(named.every((r) => table.has(r.slice(1)))).toBe(true)
})

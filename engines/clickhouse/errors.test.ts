import { ClickHouseError } from '@clickhouse/client'
import { AppError } from '@tenantry/crds/errors.ts'
import { expect, test } from 'vitest'
import { isMissing, serverCode, toAppError } from './errors.ts'

test.each([
  ['516', 'AuthenticationFailed'],
  ['497', 'PermissionDenied'],
  ['164', 'PermissionDenied'],
  ['241', 'OutOfSpace'],
  ['243', 'OutOfSpace'],
  ['242', 'ServerReadOnly'],
  ['202', 'TooManyConnections'],
  ['159', 'Timeout'],
  ['514', 'Unsupported'],
  ['62', 'StatementFailed'],
])("maps ClickHouse's code %s to %s", (code, expected) => {
  const error = toAppError(new ClickHouseError({ code, message: 'what the server says', type: 'TYPE' }), 'do it on h:1')
  expect(error.code).toBe(expected)
  expect(error.message).toContain(`do it on h:1: TYPE (code ${code}): what the server says`)
  expect(serverCode(error)).toBe(code)
})

test.each([
  ['ECONNREFUSED', 'Unreachable'],
  ['ENOTFOUND', 'Unreachable'],
  ['ETIMEDOUT', 'Timeout'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'Unreachable'],
  ['HPE_INVALID_CONSTANT', 'WrongEngine'],
])('maps %s to %s', (code, expected) => {
  expect(toAppError(Object.assign(new Error('it failed'), { code }), 'connect').code).toBe(expected)
})

test('takes an answer that is not of ClickHouse for another engine and does not repeat it', () => {
  const error = toAppError(new Error('<html>secret page</html>'), 'connect')
  expect(error.code).toBe('WrongEngine')
  expect(error.message).not.toContain('secret page')
})

test('keeps hashes of passwords out of messages and causes', () => {
  const hash = 'ab01'.repeat(16)
  const message = `Syntax error: IDENTIFIED WITH sha256_hash BY '${hash}' SALT '${hash.slice(0, 32)}'`
  const error = toAppError(new ClickHouseError({ code: '62', message, type: 'SYNTAX_ERROR' }), 'set up user/t_x')
  expect(error.message + String(error.cause)).not.toContain('ab01')
})

test('passes an AppError through and knows a missing table from other errors', () => {
  const known = new AppError('Conflict', 'x')
  expect(toAppError(known, 'again')).toBe(known)
  expect(isMissing(toAppError(new ClickHouseError({ code: '60', message: 'x', type: 'UNKNOWN_TABLE' }), 'y'))).toBe(
    true,
  )
  expect(isMissing(known)).toBe(false)
})

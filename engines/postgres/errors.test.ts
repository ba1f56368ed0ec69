import { describe, expect, test } from 'vitest'
import { codeOf, toAppError } from './errors.ts'

const serverError = (code: string): Error => Object.assign(new Error('as the server says'), { code, severity: 'ERROR' })

describe('errors of Postgres', () => {
  test.each([
    ['28P01', 'AuthenticationFailed'],
    ['28000', 'AuthenticationFailed'],
    ['3D000', 'SecretInvalid'],
    ['42501', 'PermissionDenied'],
    ['57P01', 'Unreachable'],
    ['57P03', 'Unreachable'],
    ['08006', 'Unreachable'],
    ['53300', 'TooManyConnections'],
    ['25006', 'ServerReadOnly'],
    ['55P03', 'LockTimeout'],
    ['40P01', 'LockTimeout'],
    ['57014', 'Timeout'],
    ['53100', 'OutOfSpace'],
    ['53200', 'OutOfSpace'],
    ['0A000', 'Unsupported'],
    ['58P01', 'Unsupported'],
    ['42P07', 'StatementFailed'],
    ['XX000', 'StatementFailed'],
  ])('with SQLSTATE %s are %s', (state, code) => {
    expect(codeOf(serverError(state))).toBe(code)
  })

  test.each([
    [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), 'Unreachable'],
    [Object.assign(new Error('getaddrinfo ENOTFOUND nowhere'), { code: 'ENOTFOUND' }), 'Unreachable'],
    [Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' }), 'Timeout'],
    [new Error('timeout exceeded when trying to connect'), 'Timeout'],
    [new Error('timeout expired'), 'Timeout'],
    [new Error('Query read timeout'), 'Timeout'],
    [new Error('Connection terminated unexpectedly'), 'Unreachable'],
    [new Error('The server does not support SSL connections'), 'Unreachable'],
    [new DOMException('The operation was aborted', 'AbortError'), 'Timeout'],
    [new Error('a defect'), 'Internal'],
    ['thrown text', 'Internal'],
  ])('of the driver and of Node, like %s, are %s', (error, code) => {
    expect(codeOf(error)).toBe(code)
  })

  test('say what was tried, what the server said and what to do', () => {
    expect(toAppError(serverError('53300'), 'observe on postgres db:5432/app').message).toBe(
      'observe on postgres db:5432/app: as the server says (SQLSTATE 53300). Raise max_connections or lower the connections of tenants.',
    )
  })
})

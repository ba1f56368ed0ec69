import { AppError } from '@tenantry/crds/errors.ts'
import { expect, test } from 'vitest'
import { redact, toAppError } from './errors.ts'

test.each([
  ['WRONGPASS invalid username-password pair or user is disabled.', 'AuthenticationFailed'],
  ['NOAUTH Authentication required.', 'AuthenticationFailed'],
  ['ERR AUTH <password> called without any password configured for the default user.', 'AuthenticationFailed'],
  ["NOPERM this user has no permissions to run the 'acl|list' command", 'PermissionDenied'],
  ["ERR unknown command 'ACL', with args beginning with: 'LIST'", 'Unsupported'],
  ['ERR max number of clients reached', 'TooManyConnections'],
  ['-DENIED Redis is running in protected mode', 'PermissionDenied'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'OutOfSpace'],
  ['MISCONF Redis is configured to save RDB snapshots, but it is unable to persist on disk.', 'OutOfSpace'],
  ["READONLY You can't write against a read only replica.", 'ServerReadOnly'],
  ['NOREPLICAS Not enough good replicas to write.', 'ServerReadOnly'],
  ['LOADING Redis is loading the dataset in memory', 'Unreachable'],
  ['MASTERDOWN Link with MASTER is down', 'Unreachable'],
  ['BUSY Redis is busy running a script.', 'Unreachable'],
  ['MOVED 1234 127.0.0.1:7001', 'Unsupported'],
  ['Unknown RESP type 72 "H". Please report this.', 'WrongEngine'],
  ['connect ETIMEDOUT', 'Timeout'],
  ['Command timed out', 'Timeout'],
  ['connect ECONNREFUSED 127.0.0.1:1', 'Unreachable'],
  ['getaddrinfo ENOTFOUND nowhere.invalid', 'Unreachable'],
  ['Connection is closed.', 'Unreachable'],
  ['self-signed certificate', 'Unreachable'],
  ['ERR syntax error', 'StatementFailed'],
  ['cannot read properties of undefined', 'Internal'],
])('%s is %s', (message, code) => {
  expect(toAppError(new Error(message), 'observe redis')).toMatchObject({
    code,
    message: expect.stringContaining('observe redis: '),
  })
})

test('an AppError passes through, and no cause is kept that could carry arguments', () => {
  const mine = new AppError('Conflict', 'mine')
  expect(toAppError(mine, 'x')).toBe(mine)
  expect(toAppError(new Error('WRONGPASS'), 'x').cause).toBeUndefined()
})

test('what a server quotes back of a rule is removed', () => {
  const hash = 'a1'.repeat(32)
  expect(redact(`ERR Error in ACL SETUSER modifier '#${hash}'`)).not.toContain(hash)
  expect(redact("ERR Error in ACL SETUSER modifier '>hush'")).not.toContain('hush')
})

import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import type { Change } from '@tenantry/engines/model.ts'
import { describe, expect, test } from 'vitest'
import type { HeldReason, TargetOutcome } from '../../../reconcile/model.ts'
import { isFileFault, progressOf } from './progress.ts'
import type { Wanted } from './wanted.ts'

const wanted: Wanted = { files: [], reverted: [], turn: 'reached', target: '3', digest: 'd' }
const change = (kind: string): Change => ({
  op: 'create',
  target: { kind, id: kind, spec: {}, data: false },
  risk: 'safe',
  fields: [],
  summary: kind,
})

function outcome(more: { error?: ErrorCode; remaining?: string; held?: HeldReason; found?: unknown } = {}) {
  const { error, remaining, held, found = {} } = more
  return {
    found,
    remaining: remaining ? [change(remaining)] : [],
    held: held ? [{ change: change('Migration'), reason: held }] : [],
    ...(error && { error: new AppError(error, 'x') }),
  } as unknown as TargetOutcome
}

describe('where a tenant stands', () => {
  test('is at the target once no file is left, whatever else differs', () => {
    expect(progressOf(wanted, outcome())).toEqual({ schemaState: 'AtTarget', schemaDigest: 'd' })
    expect(progressOf(wanted, outcome({ remaining: 'Role' }))?.schemaState).toBe('AtTarget')
    for (const kind of ['Migration', 'Reversal', 'file'])
      expect(progressOf(wanted, outcome({ remaining: kind }))).toEqual({ schemaState: 'Pending', schemaTarget: '3' })
  })

  test('is a failure only for what lies in the file', () => {
    const failed = { schemaState: 'Failed', schemaTarget: '3', schemaDigest: 'd' }
    expect(progressOf(wanted, outcome({ error: 'MigrationFailed', remaining: 'Migration' }))).toEqual(failed)
    expect(progressOf(wanted, outcome({ held: 'MigrationChanged' }))).toEqual(failed)
    for (const error of ['LockTimeout', 'Timeout', 'OutOfSpace', 'Fenced'] as const)
      expect(progressOf(wanted, outcome({ error, remaining: 'Migration' }))?.schemaState).toBe('Pending')
    expect(progressOf(wanted, outcome({ held: 'AwaitingApproval' }))?.schemaState).toBe('Pending')
  })

  test('is known to be a failure as soon as the change of a file fails by its own fault', () => {
    const failed = (kind: string, code: ErrorCode) =>
      isFileFault({ change: change(kind), error: new AppError(code, 'x') })
    for (const kind of ['Migration', 'Reversal', 'file']) expect(failed(kind, 'MigrationFailed')).toBe(true)
    expect(failed('Migration', 'LockTimeout')).toBe(false)
    expect(failed('Role', 'MigrationFailed')).toBe(false)
  })

  test('stays a failure while it is tried again and waits', () => {
    const again = outcome({ error: 'LockTimeout', remaining: 'Migration' })
    expect(progressOf({ ...wanted, failed: true }, again)?.schemaState).toBe('Failed')
    expect(progressOf({ ...wanted, failed: true }, outcome())?.schemaState).toBe('AtTarget')
  })

  test('says whose turn has not come, and nothing of what could not be seen', () => {
    expect(progressOf({ ...wanted, turn: 'waiting' }, outcome())).toEqual({ schemaState: 'Pending', schemaTarget: '3' })
    expect(progressOf({ ...wanted, turn: 'skipped' }, outcome())?.schemaState).toBe('Skipped')
    expect(progressOf({ files: [], reverted: [] }, outcome())).toBeUndefined()
    expect(progressOf(wanted, { ...outcome(), found: undefined })).toBeUndefined()
  })
})

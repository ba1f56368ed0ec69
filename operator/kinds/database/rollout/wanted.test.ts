import type { Database } from '@tenantry/crds/database.ts'
import type { RolloutStatus } from '@tenantry/crds/schema.ts'
import { describe, expect, test } from 'vitest'
import { digestOf, marksOf } from './released.ts'
import { fileOf, undoable, unitOf } from './testing/fleet.ts'
import { filesView, wantedFiles } from './wanted.ts'

const FILES = [fileOf('1'), fileOf('2'), fileOf('3')]

function viewOf(rollout: Partial<RolloutStatus>, files = FILES, schema: object = {}) {
  const spec = { schema: { sources: [], ...schema } }
  const status = {
    rollout: { run: 'r', target: '3', digest: digestOf(FILES), released: marksOf(FILES.slice(0, 1)), ...rollout },
  }
  return filesView({ spec, status } as unknown as Database, files)
}

const versions = (rollout: Partial<RolloutStatus>, unit = unitOf('n/a'), files = FILES) =>
  wantedFiles(viewOf(rollout, files), unit).files.map(({ version }) => version)

describe('the files that a tenant is to have', () => {
  test('are all of them once the rollout has come to it, and those of everybody before', () => {
    expect(versions({ state: 'Wave', cut: 1_000_000 })).toEqual(['1', '2', '3'])
    expect(versions({ state: 'Wave', cut: 0 })).toEqual(['1'])
    for (const state of ['Paused', 'Halted', 'Aborted', 'AwaitingApproval'] as const)
      expect(versions({ state, cut: 1_000_000 })).toEqual(['1'])
    expect(versions({ state: 'Done' })).toEqual(['1', '2', '3'])
  })

  test('stay what they are for whom it was reached, and what they were for whom the brakes are on', () => {
    const failed = unitOf('n/a', { state: 'Failed', digest: digestOf(FILES) })
    expect(versions({ state: 'Halted', cut: 0 }, failed)).toEqual(['1', '2', '3'])
    const view = viewOf({ state: 'Wave', cut: 1_000_000 })
    expect(wantedFiles(view, unitOf('n/a'), true)).toMatchObject({ turn: 'waiting', reverted: [] })
    expect(wantedFiles(view, failed, true).turn).toBe('reached')
  })

  test('are those of everybody while the files are others than the rollout is about', () => {
    expect(versions({ state: 'Done' }, unitOf('n/a'), [...FILES, fileOf('4')])).toEqual(['1', '2', '3'])
    const changed = [fileOf('1', { checksum: 'f'.repeat(64) }), ...FILES.slice(1)]
    expect(versions({ state: 'Done' }, unitOf('n/a'), changed)).toEqual([])
  })

  test('leave out a file that is refused, and what comes after it', () => {
    const digest = digestOf(FILES.slice(0, 2))
    expect(versions({ state: 'Refused', target: '2', refused: '3', digest })).toEqual(['1', '2'])
  })

  test('are not touched while it is suspended, and caught up when it is woken', () => {
    const asleep = unitOf('n/a', { suspended: true, version: '1' })
    expect(wantedFiles(viewOf({ state: 'Done', released: marksOf(FILES) }), asleep)).toMatchObject({ turn: 'skipped' })
    expect(versions({ state: 'Done', released: marksOf(FILES) }, asleep)).toEqual(['1'])
    expect(versions({ state: 'Done' }, { ...asleep, suspended: false })).toEqual(['1', '2', '3'])
  })

  test('are undone above the target of a rollback alone', () => {
    const files = [fileOf('1'), undoable('2'), undoable('3')]
    const back = { state: 'Done', target: '1', digest: digestOf(files.slice(0, 1)) } as const
    const reverted = (rollout: Partial<RolloutStatus>) =>
      wantedFiles(viewOf(rollout, files, { target: '1' }), unitOf('n/a', { version: '3' })).reverted.length
    expect(reverted({ ...back, rollback: true })).toBe(2)
    expect(reverted(back)).toBe(0)
    expect(reverted({ ...back, rollback: true, state: 'Paused' })).toBe(0)
  })

  test('name the rollout for those that it changes, not for those that are made', () => {
    const view = viewOf({ state: 'Done', by: 'kubectl' })
    expect(wantedFiles(view, unitOf('n/a')).run).toEqual({ id: 'r', by: 'kubectl' })
    expect(wantedFiles(view, unitOf('n/a', { settled: false })).run).toBeUndefined()
  })
})

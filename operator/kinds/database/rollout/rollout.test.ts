import type { RolloutStatus } from '@tenantry/crds/schema.ts'
import { describe, expect, test } from 'vitest'
import { bring, type Fleet, fileOf, step, undoable, unitOf } from './testing/fleet.ts'

const TEN = Array.from({ length: 10 }, (_, i) => unitOf(`shop/t${i}`))
const FILES = [fileOf('1'), fileOf('2')]
const fleet = (more: Partial<Fleet> = {}): Fleet => ({ files: FILES, units: TEN, ...more })

/** Takes steps, with everybody reached brought along, until nothing changes. */
function settle(from: Fleet, passes?: (key: string) => boolean): { fleet: Fleet; rollout: RolloutStatus } {
  let now = from
  for (;;) {
    const { rollout } = step(now)
    const next = { ...now, previous: rollout, units: bring(now, rollout, passes) }
    if (JSON.stringify(next) === JSON.stringify(now)) return { fleet: now, rollout }
    now = next
  }
}

const reached = ({ units }: Fleet) => units.filter(({ state }) => state !== undefined).length

describe('a rollout', () => {
  test('without waves brings a new file to everybody, and is done when they have it', () => {
    const first = step(fleet())
    expect(first.rollout).toMatchObject({ state: 'Wave', wave: 1, waves: 1, from: '1', target: '2' })
    const { rollout } = settle(fleet())
    expect(rollout).toMatchObject({ state: 'Done', counts: { total: 10, atTarget: 10, pending: 0, failed: 0 } })
  })

  test('is done at once where nobody is there yet, and where everybody has all files', () => {
    expect(step(fleet({ units: [] })).rollout).toMatchObject({ state: 'Done', target: '2' })
    const fresh = TEN.map((unit) => ({ ...unit, settled: false }))
    expect(step(fleet({ units: fresh })).rollout.state).toBe('Done')
    const done = TEN.map((unit) => ({ ...unit, version: '2' }))
    expect(step(fleet({ units: done })).rollout).toMatchObject({ state: 'Done', from: '2' })
  })

  test('goes from the labelled canaries over a soak to waves and to everybody', () => {
    const units = TEN.map((unit, i) => (i === 3 ? { ...unit, labels: { tier: 'free' } } : unit))
    const spec = { canary: { matchLabels: { tier: 'free' }, soak: '10m' }, waves: [50], soak: '1h' }
    let now = settle(fleet({ units, spec }))
    expect([now.rollout.state, now.rollout.wave, reached(now.fleet)]).toEqual(['Soaking', 0, 1])
    expect(now.fleet.units[3]?.state).toBe('AtTarget')
    expect(step(now.fleet).lookAgainMs).toBe(600_000)
    now = settle({ ...now.fleet, now: 599_999 })
    expect(now.rollout.wave).toBe(0)
    now = settle({ ...now.fleet, now: 600_000 })
    expect([now.rollout.state, now.rollout.wave]).toEqual(['Soaking', 1])
    expect(reached(now.fleet)).toBeGreaterThan(1)
    expect(reached(now.fleet)).toBeLessThan(10)
    now = settle({ ...now.fleet, now: 5_000_000 })
    expect([now.rollout.state, reached(now.fleet)]).toEqual(['Done', 10])
  })

  test('of a share has at least one canary', () => {
    const { rollout, fleet: after } = settle(fleet({ spec: { canary: { percent: 1, soak: '1m' } } }))
    expect([rollout.state, reached(after)]).toEqual(['Soaking', 1])
  })

  test('halts when more fail than may, keeps those that failed, and goes on when they are mended', () => {
    const spec = { waves: [50], maxFailures: '1' }
    const bad = new Set(['shop/t0', 'shop/t1', 'shop/t2', 'shop/t3', 'shop/t4', 'shop/t5', 'shop/t6'])
    const { rollout, fleet: halted } = settle(fleet({ spec }), (key) => !bad.has(key))
    expect(rollout).toMatchObject({ state: 'Halted', wave: 1 })
    expect(rollout.stragglers?.[0]).toMatchObject({ version: '1', message: 'it broke' })
    expect(step({ ...halted, spec: { ...spec, maxFailures: '90%' } }).rollout).toMatchObject({ state: 'Wave', wave: 2 })
    expect(settle(halted).rollout.state).toBe('Done')
  })

  test('bears the failures that it may, and names them at its end', () => {
    const { rollout } = settle(fleet({ spec: { maxFailures: '10%' } }), (key) => key !== 'shop/t7')
    expect(rollout).toMatchObject({ state: 'Done', counts: { atTarget: 9, failed: 1 } })
    expect(rollout.stragglers).toEqual([{ tenant: 'shop/t7', version: '1', message: 'it broke' }])
  })

  test('that is paused starts nothing more, and goes on where it was', () => {
    const spec = { canary: { percent: 30 }, waves: [60] }
    const begun = step(fleet({ spec })).rollout
    const paused = step(fleet({ spec: { ...spec, state: 'Paused' }, previous: begun })).rollout
    expect(paused).toMatchObject({ state: 'Paused', wave: 0, run: begun.run })
    expect(reached(settle(fleet({ spec: { ...spec, state: 'Paused' }, previous: paused })).fleet)).toBe(0)
    expect(step(fleet({ spec, previous: paused })).rollout).toMatchObject({ state: 'Canary', wave: 0, run: begun.run })
  })

  test('that was aborted stays so until the files or the target are others', () => {
    const previous = step(fleet()).rollout
    const aborted = step(fleet({ spec: { state: 'Aborted' }, previous })).rollout
    expect(aborted.state).toBe('Aborted')
    expect(step(fleet({ previous: aborted })).rollout).toMatchObject({ state: 'Aborted', run: previous.run })
    const more = [...FILES, fileOf('3')]
    expect(step(fleet({ files: more, previous: aborted })).rollout).toMatchObject({
      state: 'Wave',
      from: '1',
      target: '3',
    })
  })

  test('begins again at the canary when a file that was not released is corrected, with those first for whom it failed', () => {
    const spec = { canary: { percent: 10 }, waves: [] }
    const { rollout, fleet: halted } = settle(fleet({ spec }), () => false)
    const failed = halted.units.find(({ state }) => state === 'Failed')?.key ?? ''
    const corrected = { ...halted, files: [fileOf('1'), fileOf('2', { checksum: 'f'.repeat(64) })] }
    const again = step(corrected).rollout
    expect(again).toMatchObject({ state: 'Canary', wave: 0, from: '1' })
    expect(again.run).not.toBe(rollout.run)
    expect(bring(corrected, again).find(({ key }) => key === failed)?.state).toBe('AtTarget')
  })

  test('passes suspended tenants by and does not wait for them', () => {
    const units = TEN.map((unit, i) => (i < 4 ? { ...unit, suspended: true } : unit))
    const { rollout } = settle(fleet({ units }))
    expect(rollout).toMatchObject({ state: 'Done', counts: { total: 10, atTarget: 6, suspended: 4 } })
  })
})

describe('approval', () => {
  const judgements = new Map([['2', { approvals: ['2_x.sql:1:1 drop-table'] }]])

  test('is asked for a file that loses data, and only for exactly this file', () => {
    const { rollout } = step(fleet({ judgements }))
    expect(rollout.state).toBe('AwaitingApproval')
    expect(rollout.message).toContain('2_x.sql:1:1 drop-table')
    const asked = fleet({ judgements, previous: rollout })
    expect(step({ ...asked, approved: 'another' }).rollout.state).toBe('AwaitingApproval')
    const given = step({ ...asked, approved: `plan ${rollout.approve}` }).rollout
    expect(given).toMatchObject({ state: 'Wave' })
    expect(step({ ...asked, previous: given }).rollout.state).toBe('Wave')
    const other = [fileOf('1'), fileOf('2', { checksum: 'f'.repeat(64) })]
    expect(step({ ...asked, files: other, approved: rollout.approve ?? '' }).rollout.state).toBe('AwaitingApproval')
  })

  test('is asked for every rollout or none, as the policy says', () => {
    expect(step(fleet({ spec: { approval: 'All' } })).rollout.state).toBe('AwaitingApproval')
    expect(step(fleet({ judgements, spec: { approval: 'Automatic' } })).rollout.state).toBe('Wave')
    expect(step(fleet({ judgements, units: [] })).rollout.state).toBe('Done')
  })
})

describe('a file that must not be applied', () => {
  const files = ['1', '2', '3', '4'].map((version) => fileOf(version))
  const judgements = new Map([['3', { refusal: '3_x.sql:1:1 syntax-error', approvals: [] }]])

  test('keeps itself and later ones back, and those before it are rolled out', () => {
    const { rollout } = settle(fleet({ files, judgements }))
    expect(rollout).toMatchObject({ state: 'Refused', target: '2', refused: '3', counts: { atTarget: 10 } })
    expect(rollout.message).toContain('3_x.sql:1:1 syntax-error')
    expect(settle(fleet({ files, units: TEN, previous: rollout })).rollout).toMatchObject({
      state: 'Done',
      target: '4',
    })
  })

  test('keeps nothing back that everybody has, although it is numbered later', () => {
    const previous = step({
      files: [fileOf('1'), fileOf('4')],
      units: TEN.map((unit) => ({ ...unit, version: '4' })),
    }).rollout
    const late = [fileOf('1'), fileOf('3'), fileOf('4'), fileOf('5')]
    const { rollout } = step({ files: late, units: TEN, previous, judgements })
    expect(rollout).toMatchObject({ state: 'Refused', target: '4', refused: '3' })
    expect(step({ files: late, units: TEN, previous }).rollout).toMatchObject({ state: 'Wave', from: '4', target: '5' })
  })

  test('refuses at once where it is the first', () => {
    const first = new Map([['2', { refusal: 'bad', approvals: [] }]])
    expect(step(fleet({ judgements: first })).rollout).toMatchObject({ state: 'Refused', target: '1', message: 'bad' })
  })
})

describe('a lower target', () => {
  const units = TEN.map((unit) => ({ ...unit, version: '3' }))
  const files = [fileOf('1'), undoable('2'), undoable('3')]
  const done = (of: readonly ReturnType<typeof fileOf>[]) => step({ files: of, units }).rollout

  test('is a rollout by itself, with waves', () => {
    const back = { files, units, target: '01', previous: done(files), spec: { waves: [50] } }
    expect(step(back).rollout).toMatchObject({ state: 'Wave', wave: 1, from: '3', target: '1', rollback: true })
    const { rollout, fleet: after } = settle(back)
    expect(rollout).toMatchObject({ state: 'Done', target: '1', rollback: true })
    expect(after.units.every(({ version }) => version === '1')).toBe(true)
    expect(settle({ ...after, units: after.units }).rollout.run).toBe(rollout.run)
  })

  test('is refused where a down file is missing, and changes nothing', () => {
    const one = [fileOf('1'), fileOf('2'), undoable('3')]
    const { rollout } = step({ files: one, units, target: '1', previous: done(one) })
    expect(rollout).toMatchObject({ state: 'Refused', target: '3' })
    expect(rollout.message).toMatch(/2_x\.sql cannot be undone: there is no 2_x\.down\.sql/)
    expect(rollout.rollback).toBeUndefined()
  })

  test('that no file has is refused, and none at all is the way before the first', () => {
    expect(step({ files, units, target: '7', previous: done(files) }).rollout.message).toMatch(
      /no SQL file has the number 7/,
    )
    const all = [undoable('1'), undoable('2'), undoable('3')]
    const back = step({ files: all, units, target: '0', previous: done(all) }).rollout
    expect(back).toMatchObject({ state: 'Wave', rollback: true })
    expect(back.target).toBeUndefined()
  })
})

import type { Change } from '@tenantry/engines/model.ts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dropsData, gate, hashOf } from './gate.ts'
import type { Policy } from './model.ts'

const free: Policy = {
  paused: false,
  mode: 'Enforce',
  approval: 'Automatic',
  retain: true,
  adopt: false,
  approved: undefined,
}

const change = (id: string, part: Partial<Change> & { data?: boolean } = {}): Change => ({
  op: 'create',
  target: { kind: 'Role', id, spec: {}, data: part.data ?? false },
  risk: 'safe',
  fields: [],
  summary: `create ${id}`,
  ...part,
})

const login = change('role/login', { op: 'drop', risk: 'disruptive' })
const schema = change('schema/t', { op: 'drop', risk: 'destructive', data: true })
const group = change('role/group', { op: 'drop' })
const lookalike = change('schema/x', {
  op: 'adopt',
  blocked: { code: 'Conflict', message: 'schema x exists', adoptable: true },
})
const foreign = change('schema/y', {
  op: 'adopt',
  blocked: { code: 'Conflict', message: 'schema y belongs to another', adoptable: false },
})
const edited = change('migration/t/1', {
  op: 'alter',
  blocked: { code: 'MigrationChanged', message: 'file 1 changed', adoptable: false },
})

const ids = (list: readonly Change[]) => list.map((c) => c.target.id)
const reasons = (policy: Policy, changes: readonly Change[], hash?: string) =>
  gate(policy, changes, hash).held.map((held) => `${held.change.target.id}: ${held.reason}`)

describe('gate', () => {
  test('lets everything run by itself unless something holds it', () => {
    expect(ids(gate({ ...free, retain: false }, [login, schema, group]).run)).toEqual(ids([login, schema, group]))
  })

  test('under Retain a drop of data is neither run nor shown', () => {
    const gated = gate(free, [login, schema])
    expect(ids(gated.run)).toEqual(['role/login'])
    expect(gated.held).toEqual([])
  })

  test('holds everything while paused, and in plan mode', () => {
    expect(reasons({ ...free, paused: true }, [login, group])).toEqual(['role/login: Paused', 'role/group: Paused'])
    expect(reasons({ ...free, mode: 'Plan' }, [group])).toEqual(['role/group: PlanOnly'])
  })

  test('holds a whole target for one look-alike, until it may be adopted', () => {
    expect(reasons(free, [group, lookalike])).toEqual(['role/group: Conflict', 'schema/x: Conflict'])
    expect(ids(gate({ ...free, adopt: true }, [group, lookalike]).run)).toEqual(['role/group', 'schema/x'])
    expect(reasons({ ...free, adopt: true }, [foreign])).toEqual(['schema/y: Conflict'])
  })

  test('a changed file holds itself and nothing else', () => {
    const gated = gate(free, [group, edited, login])
    expect(ids(gated.run)).toEqual(['role/group', 'role/login'])
    expect(gated.held.map((held) => held.reason)).toEqual(['MigrationChanged'])
  })

  test('holds a destructive change and what depends on it until its very plan is approved', () => {
    const policy: Policy = { ...free, retain: false, approval: 'Destructive' }
    const gated = gate(policy, [login, schema, group])
    expect(ids(gated.run)).toEqual(['role/login'])
    const hash = hashOf([{ label: 'main', held: gated.held }])
    expect(gate({ ...policy, approved: hash }, [schema, group], hash).held).toEqual([])
    expect(gate({ ...policy, approved: 'stale' }, [schema, group], hash).held).toHaveLength(2)
  })

  test('the hash does not change when the safe part of the plan has run', () => {
    const policy: Policy = { ...free, retain: false, approval: 'Destructive' }
    const hash = (changes: readonly Change[]) => hashOf([{ label: 'main', held: gate(policy, changes).held }])
    expect(hash([login, schema, group])).toBe(hash([schema, group]))
    expect(hash([schema, change('role/other')])).not.toBe(hash([schema, group]))
    expect(hash([])).toBeUndefined()
  })

  test('whatever the policy, Retain drops no data and every change is run or held or retained', () => {
    const policies = fc.record({
      paused: fc.boolean(),
      mode: fc.constantFrom('Enforce' as const, 'Plan' as const),
      approval: fc.constantFrom('Automatic' as const, 'Destructive' as const, 'All' as const),
      retain: fc.boolean(),
      adopt: fc.boolean(),
      approved: fc.constantFrom(undefined, 'h'),
    })
    const changes = fc.array(fc.constantFrom(login, schema, group, lookalike, foreign, edited))
    fc.assert(
      fc.property(policies, changes, (policy, list) => {
        const { run, held } = gate(policy, list, 'h')
        const kept = policy.retain ? list.filter(dropsData).length : 0
        expect(run.length + held.length + kept).toBe(list.length)
        if (policy.retain) expect(run.some(dropsData)).toBe(false)
        if (policy.paused || policy.mode === 'Plan') expect(run).toEqual([])
      }),
    )
  })
})

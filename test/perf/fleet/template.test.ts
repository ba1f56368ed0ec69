import type { Tenant } from '@tenantry/crds/tenant.ts'
import { expect, test } from 'vitest'
import { rename, type Sample, secretLike, statusLike, tenantLike } from './template.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const owner = { apiVersion: 'tenantry.dev/v1alpha1', kind: 'Tenant', name: 'sample-0', uid: 'old', controller: true }
const secret = {
  metadata: { namespace: 'bench', name: 'sample-0-oltp', uid: 'x', ownerReferences: [owner] },
  type: 'Opaque',
  data: { password: base64('secret'), uri: base64('postgres://t_sample_0_app:secret@host') },
}
const tenant = {
  apiVersion: 'tenantry.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { namespace: 'bench', name: 'sample-0', uid: 'old', generation: 1, annotations: { where: 's0' } },
  spec: { databases: [{ name: 'oltp' }] },
  status: { observedGeneration: 1, tenantId: 't_sample_0', conditions: [] },
} as unknown as Tenant
const sample: Sample = { tenant, secrets: new Map([['oltp', secret]]) }
const renames = [
  ['sample-0', 'fleet-00042'],
  ['t_sample_0', 't_fleet_00042'],
  ['secret', 'other'],
] as const

test('texts are renamed in one pass, the longest that matches first', () => {
  expect(
    rename('a ab b', [
      ['a', 'b'],
      ['ab', 'a'],
      ['b', 'c'],
    ]),
  ).toBe('b a c')
  expect(rename('a.c abc', [['a.c', 'x']])).toBe('x abc')
  expect(rename('unchanged', [])).toBe('unchanged')
})

test('a tenant looks like the sample under its own name, with the finalizer', () => {
  expect(tenantLike(sample, renames, { side: 'fleet' })).toMatchObject({
    kind: 'Tenant',
    metadata: {
      name: 'fleet-00042',
      labels: { side: 'fleet' },
      annotations: { where: 's0' },
      finalizers: ['tenantry.dev/cleanup'],
    },
    spec: { databases: [{ name: 'oltp' }] },
  })
  expect(statusLike(sample, renames)).toEqual({ observedGeneration: 1, tenantId: 't_fleet_00042', conditions: [] })
})

test('a Secret is renamed inside its encoded values and belongs to the new Tenant', () => {
  expect(secretLike(secret, renames, 'new')).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      namespace: 'bench',
      name: 'fleet-00042-oltp',
      labels: undefined,
      ownerReferences: [{ ...owner, name: 'fleet-00042', uid: 'new' }],
    },
    type: 'Opaque',
    data: { password: base64('other'), uri: base64('postgres://t_fleet_00042_app:other@host') },
  })
})

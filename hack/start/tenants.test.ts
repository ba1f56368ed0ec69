import type { Database } from '@tenantry/crds/database.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { expect, test } from 'vitest'
import type { Kubectl } from './kubectl.ts'
import { limitations, renderTenants, waitForTenants } from './tenants.ts'

const { signal } = new AbortController()

test('waits until the tenants are ready for the spec as it is, and shows each place of theirs', async () => {
  const cluster = {
    tenants: [tenant('acme', true), tenant('initech', true, 1), tenant('stranger', false)],
    databases: [],
  }
  const said: string[] = []
  const waiting = waitFor(cluster, 60_000, said)
  await expect.poll(() => said).toContain('1 of 2 ready; initech: all is well')
  cluster.tenants[1] = tenant('initech', true)
  const waited = await waiting
  const lines = renderTenants(waited).split('\n')
  expect(lines[0]).toBe('TENANT   TIER  ENGINE      SHARD  SCHEMA/PREFIX/DATABASE  SECRET        STATE  SECONDS')
  expect(lines[1]).toMatch(/^acme {5}oltp {2}PostgreSQL {2}s0 {5}t_acme_12345678 {9}acme-main {5}Ready {2}\d+\.\d$/)
  expect(lines).toHaveLength(3)
  expect(limitations(waited)).toEqual(['AccessControl: the embedded server keeps no users'])
})

test('names every tenant and Database that is not ready in time, with all conditions', async () => {
  const databases = [{ kind: 'Database', metadata: { namespace: 'platform', name: 'oltp', generation: 1 } } as Database]
  const outcome = waitFor({ tenants: [tenant('acme', true), tenant('initech', false)], databases }, 0)
  await expect(outcome).rejects.toThrow(
    [
      'Not every tenant was ready within 0 s:',
      '  Database platform/oltp',
      '    no status yet',
      '  Tenant shop/initech',
      '    Ready=False Testing: Secret platform/oltp-s0 does not exist',
      '    AccessControl=False Unsupported: the embedded server keeps no users',
    ].join('\n'),
  )
})

test('a tenant that is not there yet is waited for', async () => {
  await expect(waitFor({ tenants: [tenant('acme', true)], databases: [] }, 0)).rejects.toThrow('Not every tenant')
})

function waitFor(cluster: { tenants: Tenant[]; databases: Database[] }, timeoutMs: number, said: string[] = []) {
  const kubectl: Kubectl = async ([, plural]) =>
    JSON.stringify({ items: plural === 'tenants.tenantry.dev' ? cluster.tenants : cluster.databases })
  const keys = ['shop/acme', 'shop/initech']
  return waitForTenants({ kubectl, keys, timeoutMs, say: (text) => said.push(text), signal })
}

function tenant(name: string, ready: boolean, observedGeneration = 2): Tenant {
  const common = { reason: 'Testing', lastTransitionTime: '2026-01-02T03:04:05Z' }
  const [status, message] = ready ? ['True', 'all is well'] : ['False', 'Secret platform/oltp-s0 does not exist']
  return {
    kind: 'Tenant',
    metadata: { namespace: 'shop', name, generation: 2 },
    status: {
      observedGeneration,
      conditions: [
        { ...common, type: 'Ready', status, message },
        {
          ...{ ...common, type: 'AccessControl', status: 'False', reason: 'Unsupported' },
          message: 'the embedded server keeps no users',
        },
      ],
      databases: [
        {
          ...{ name: 'main', databaseRef: { name: 'oltp', namespace: 'platform' }, engine: 'PostgreSQL', shard: 's0' },
          ...{ schema: `t_${name}_12345678`, secretName: `${name}-main`, ready: true },
        },
      ],
    },
  } as unknown as Tenant
}

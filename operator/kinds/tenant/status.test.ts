import { AppError } from '@tenantry/crds/errors.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import { describe, expect, test } from 'vitest'
import type { Binding } from './bindings.ts'
import { type BindingReport, tenantStatus } from './status.ts'

const place = { database: { namespace: 'platform', name: 'cache' }, shard: 's0' }
const known = { name: 'cache', engine: 'Redis', keyPrefix: '{t_acme}:', secretName: 'acme-own', login: 't_acme_app_a' }
const tenant = {
  metadata: { namespace: 'shop', name: 'acme', uid: 'u', generation: 2 },
  spec: { databases: [], suspended: false, deletionPolicy: 'Delete' },
  status: { databases: [{ ...known, databaseRef: place.database, shard: 's0', ready: true }] },
} as unknown as Tenant
const binding = {
  shard: { engine: { name: 'Redis' } },
  address: { database: '0', keyPrefix: '{t_acme}:' },
} as unknown as Binding
const problem = new AppError('Unreachable', 'talk to redis: the connection broke')

function stored(report: Partial<BindingReport>) {
  const whole = { name: 'cache', entry: undefined, place, credentials: [], problem, ...report }
  return tenantStatus(tenant, [whole], { targets: [], planHash: undefined }, new Date(0)).databases?.[0]
}

describe('the status of an entry', () => {
  test('names its Secret until the entry is cleared, whatever its removal runs into', () => {
    expect(stored({ binding })).toMatchObject({ ...known, ready: false, message: problem.message })
  })

  test('names what there is where its place could not be resolved, or its credentials not be read', () => {
    expect(stored({})).toMatchObject(known)
    expect(stored({ binding, entry: tenant.spec.databases[0] })).toMatchObject(known)
  })
})

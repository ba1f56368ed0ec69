import type { Tenant } from '@tenantry/crds/tenant.ts'
import { describe, expect, test } from 'vitest'
import { formatPlace, type Place, Placements, parsePlace, placesOf } from './placements.ts'

const oltp = { namespace: 'platform', name: 'oltp' }
const at = (shard: string, database = oltp): Place => ({ database, shard })

describe('Placements', () => {
  test('counts a tenant once per Database, on the shard chosen last', () => {
    const placements = new Placements()
    placements.put('shop/acme', at('s0'))
    placements.put('shop/acme', at('s0'))
    placements.put('shop/globex', at('s0'))
    expect(placements.countOn(at('s0'))).toBe(2)
    placements.put('shop/acme', at('s1'))
    expect(placements.tenantsOn(at('s0'))).toEqual(['shop/globex'])
    expect(placements.tenantsOn(at('s1'))).toEqual(['shop/acme'])
  })

  test('keeps a choice that was not stored yet, and tells Databases of similar names apart', () => {
    const placements = new Placements()
    placements.put('shop/acme', at('s1'))
    expect(placements.chosen('shop/acme', oltp)?.shard).toBe('s1')
    expect(placements.chosen('shop/acme', { namespace: 'platform', name: 'olt' })).toBeUndefined()
  })

  test('forgets a tenant with all its places', () => {
    const placements = new Placements()
    placements.put('shop/acme', at('s0'))
    placements.put('shop/acme', at('s0', { namespace: 'platform', name: 'cache' }))
    expect(placements.shardsOf('shop/acme')).toEqual(['platform/oltp/s0', 'platform/cache/s0'])
    placements.forget('shop/acme')
    expect(placements.countOn(at('s0'))).toBe(0)
    expect(placements.shardsOf('shop/acme')).toEqual([])
  })
})

describe('a stored place', () => {
  test('reads back as it was written, and nothing else reads as one', () => {
    expect(parsePlace(formatPlace(at('s0')))).toEqual(at('s0'))
    for (const text of ['', 's0', 'a/b', 'a/b/', 'a/b/c/d', '//']) expect(parsePlace(text)).toBeUndefined()
  })

  test('comes from the annotation, and from the status where somebody removed the annotation', () => {
    const tenant = (annotations: Record<string, string>): Tenant => ({
      apiVersion: 'tenantry.dev/v1alpha1',
      kind: 'Tenant',
      metadata: {
        name: 'acme',
        namespace: 'shop',
        uid: 'u',
        resourceVersion: '1',
        generation: 1,
        creationTimestamp: '',
        annotations,
      },
      spec: { databases: [], suspended: false, deletionPolicy: 'Retain' },
      status: { databases: [{ name: 'main', databaseRef: oltp, shard: 's7' }] },
    })
    expect(placesOf(tenant({})).get('main')).toEqual(at('s7'))
    const stored = JSON.stringify({ main: 'platform/oltp/s1', junk: 'nowhere' })
    const places = placesOf(tenant({ 'tenantry.dev/placement': stored }))
    expect([...places]).toEqual([['main', at('s1')]])
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { databaseName, objectName, tenantId } from './names.ts'

const names = fc.record({
  namespace: fc.string({ maxLength: 63 }),
  name: fc.string({ unit: 'grapheme', maxLength: 253 }),
})

describe('names', () => {
  test('are valid, short enough for a suffix of twelve, and the same every time', () => {
    fc.assert(
      fc.property(names, names, (tenant, database) => {
        for (const name of [tenantId(tenant), objectName(tenant, database), databaseName(database)]) {
          expect(name).toMatch(/^[td]_[a-z0-9_]{1,40}_[0-9a-f]{8}$/)
          expect(Buffer.byteLength(name) + 12).toBeLessThanOrEqual(63)
        }
        expect(objectName({ ...tenant }, { ...database })).toBe(objectName(tenant, database))
      }),
    )
  })

  test('differ by namespace, by name and by Database, however the parts are cut', () => {
    const acme = { namespace: 'shop', name: 'acme' }
    const [oltp, content] = [
      { namespace: 'platform', name: 'oltp' },
      { namespace: 'platform', name: 'content' },
    ]
    const all = [
      objectName(acme, oltp),
      objectName(acme, content),
      objectName({ namespace: 'shopa', name: 'cme' }, oltp),
      objectName({ ...acme, namespace: 'other' }, oltp),
      tenantId(acme),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  test('never change: these are in use', () => {
    expect(tenantId({ namespace: 'shop', name: 'acme' })).toBe('t_acme_074970f7')
    expect(objectName({ namespace: 'shop', name: 'acme' }, { namespace: 'platform', name: 'oltp' })).toBe(
      't_acme_1e9931c7',
    )
    expect(databaseName({ namespace: 'platform', name: 'billing' })).toBe('d_billing_c76fe5a3')
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareAcl, parseAcl } from './acl.ts'

describe('access control lists of Postgres', () => {
  test.each([
    ['=UC/postgres', '', 'UC'],
    ['t_acme_rw=arwd/t_acme_owner', 't_acme_rw', 'arwd'],
    ['"a ""quoted"" name"=r*w/postgres', 'a "quoted" name', 'r*w'],
    ['"a=b/c"=X/postgres', 'a=b/c', 'X'],
    ['"it\'s"=c/"an owner"', "it's", 'c'],
  ])('are read: %s', (item, name, privileges) => {
    expect([...parseAcl([item])]).toEqual([[name, privileges]])
  })

  test('join what several grantors gave, and are empty when there are none', () => {
    expect([...parseAcl(['a=r/x', 'a=w/y'])]).toEqual([['a', 'rw']])
    expect([...parseAcl(null)]).toEqual([])
  })

  test('give back any name that Postgres would quote', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const item = `"${name.replaceAll('"', '""')}"=arwd/postgres`
        expect([...parseAcl([item])]).toEqual([[name, 'arwd']])
      }),
    )
  })

  test('are compared without regard to the order of privileges, and names of Object are nothing special', () => {
    const found = parseAcl(['rw=drwa/o', 'constructor=r/o', '=r/o', 'o=arwd/o', 'ro=rw/o'])
    expect(compareAcl(found, { rw: 'arwd', ro: 'r', gone: 'r' }, ['o'])).toEqual({
      missing: ['ro', 'gone'],
      foreign: ['PUBLIC', 'constructor'],
    })
  })
})

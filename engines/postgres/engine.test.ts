import { describe, expect, test } from 'vitest'
import type { Connection } from '../model.ts'
import { databaseName, objectName } from '../names.ts'
import { postgres } from './engine.ts'
import { roleNames } from './names.ts'

const CONNECTION: Connection = {
  host: 'db.example',
  port: 5432,
  username: 'admin',
  database: 'my db',
  tls: 'verify',
  ca: 'PEM',
}

describe('the Postgres engine', () => {
  test('makes no name longer than Postgres allows, of the longest names there are', () => {
    const long = { namespace: 'n'.repeat(63), name: 'x'.repeat(253) }
    for (const base of [objectName(long, long), databaseName(long)]) {
      for (const name of roleNames(base)) expect(name.length).toBeLessThanOrEqual(63)
    }
  })

  test('tells where a tenant lives', () => {
    const at = (isolation: 'Schema' | 'Row' | 'Database', connection = CONNECTION) =>
      postgres.address({ isolation, name: 't_acme', shared: 'd_oltp' }, connection)
    expect(at('Schema')).toEqual({ database: 'my db', schema: 't_acme' })
    expect(at('Row')).toEqual({ database: 'my db', schema: 'd_oltp' })
    expect(at('Database')).toEqual({ database: 't_acme', schema: 't_acme' })
    expect(at('Schema', { host: 'h', port: 1, tls: 'off' })).toEqual({ database: 'postgres', schema: 't_acme' })
  })

  test('writes a Secret whose every part survives the URI', () => {
    const secret = { login: 't_acme_app_a', password: 'p@ss:w/rd?#%' }
    const data = postgres.secretData(CONNECTION, { database: 'my db', schema: 't_acme' }, secret)
    expect(data).toEqual({
      type: 'postgresql',
      provider: 'tenantry',
      host: 'db.example',
      port: '5432',
      username: 't_acme_app_a',
      password: 'p@ss:w/rd?#%',
      database: 'my db',
      sslmode: 'verify-full',
      schema: 't_acme',
      uri: 'postgresql://t_acme_app_a:p%40ss%3Aw%2Frd%3F%23%25@db.example:5432/my%20db?sslmode=verify-full',
      'ca.crt': 'PEM',
    })
    const uri = new URL(data.uri ?? '')
    expect(decodeURIComponent(uri.password)).toBe(secret.password)
  })

  test('writes an IPv6 host in brackets, and no certificate where there is none', () => {
    const data = postgres.secretData({ host: '::1', port: 5432, tls: 'off' }, {}, { login: 'a', password: 'b' })
    expect(data.uri).toBe('postgresql://a:b@[::1]:5432/postgres?sslmode=disable')
    expect(data).not.toHaveProperty('ca.crt')
  })
})

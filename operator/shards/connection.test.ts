import { describe, expect, test } from 'vitest'
import { parseConnection } from './connection.ts'

const secret = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))

describe('parseConnection', () => {
  test('reads single keys and gives the engine its usual port', () => {
    expect(parseConnection('Redis', 'platform/cache', secret({ host: 'r', password: 'p\n' }))).toEqual({
      host: 'r',
      port: 6379,
      password: 'p',
      tls: 'off',
    })
  })

  test("accepts CloudNativePG's keys", () => {
    const data = secret({
      host: 'h',
      port: '5433',
      user: 'u',
      password: 'p',
      dbname: 'd',
      uri: 'postgresql://u:p@h:5433/d',
    })
    expect(parseConnection('PostgreSQL', 's', data)).toMatchObject({
      host: 'h',
      port: 5433,
      username: 'u',
      database: 'd',
    })
  })

  test('reads a uri, decodes it, and lets single keys win', () => {
    const data = secret({
      uri: 'postgres://me:a%2Fb@db:6000/main?sslmode=verify-full',
      database: 'other',
      'ca.crt': 'PEM',
    })
    expect(parseConnection('PostgreSQL', 's', data)).toEqual({
      host: 'db',
      port: 6000,
      username: 'me',
      password: 'a/b',
      database: 'other',
      tls: 'verify',
      ca: 'PEM',
    })
  })

  test.each([
    ['an empty Secret', {}, /Secret platform\/s0 has neither host nor uri: add/],
    ['a port that is no number', { host: 'h', port: 'x' }, /malformed port/],
    ['a malformed uri', { uri: 'not a uri' }, /malformed uri/],
    ['broken percent-encoding', { uri: 'postgres://u:%zz@h/d' }, /percent-encoding/],
    ['an unknown sslmode', { host: 'h', sslmode: 'maybe' }, /unknown sslmode/],
    ["another engine's uri", { uri: 'redis://:geheim@h' }, /redis: uri but the Database is PostgreSQL/],
  ])('says what to do about %s, without a value of it', (_title, data, message) => {
    const parse = () => parseConnection('PostgreSQL', 'platform/s0', secret(data))
    expect(parse).toThrow(message)
    expect(parse).not.toThrow(/geheim|%zz/)
  })
})

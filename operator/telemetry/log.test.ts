import { Writable } from 'node:stream'
import { AppError } from '@tenantry/crds/errors.ts'
import { describe, expect, test } from 'vitest'
import { createLog, type Log } from './log.ts'

const CANARY = 'canary-91c2'

function capture(level = 'debug'): { log: Log; lines: () => Record<string, unknown>[]; text: () => string } {
  let text = ''
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk)
      done()
    },
  })
  return {
    log: createLog({ level, destination }),
    text: () => text,
    lines: () =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  }
}

describe('the log', () => {
  test('writes one JSON object a line, with level, time, fields and message', () => {
    const { log, lines } = capture()
    log.child({ kind: 'Tenant', key: 'shop/acme' }).info({ changes: 3 }, 'applied')
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        kind: 'Tenant',
        key: 'shop/acme',
        changes: 3,
        msg: 'applied',
      },
    ])
  })

  test('leaves out what is below its level', () => {
    const { log, text } = capture('warn')
    log.info('no')
    expect(text()).toBe('')
  })

  test('never writes what a name says is secret, however deep it lies', () => {
    const { log, text } = capture()
    const secrets = {
      password: CANARY,
      PGPASSWORD: CANARY,
      newPassword: CANARY,
      token: CANARY,
      accessToken: CANARY,
      client_secret: CANARY,
      uri: CANARY,
      DATABASE_URL: CANARY,
      authorization: CANARY,
      Authorization: CANARY,
      verifier: CANARY,
      privateKey: CANARY,
    }
    log.info(secrets, 'flat')
    log.info({ connection: { options: [secrets] } }, 'deep')
    log.child(secrets).info('bound')
    log.error(
      { err: Object.assign(new Error('x', { cause: Object.assign(new Error('y'), secrets) }), secrets) },
      'error',
    )
    expect(text()).not.toContain(CANARY)
    expect(text()).toContain('[redacted]')
  })

  test('cuts the password out of a URI in any text', () => {
    const { log, text, lines } = capture()
    const uri = `postgres://app:${CANARY}@db:5432/shop`
    log.error(
      { err: new AppError('Unreachable', `connect to ${uri}`, new Error(uri)), detail: uri },
      `cannot connect to ${uri}`,
    )
    expect(text()).not.toContain(CANARY)
    expect(lines()[0]).toMatchObject({
      msg: 'cannot connect to postgres://app:[redacted]@db:5432/shop',
      detail: 'postgres://app:[redacted]@db:5432/shop',
      err: { code: 'Unreachable', message: 'connect to postgres://app:[redacted]@db:5432/shop' },
    })
  })

  test('says what an error was and what caused it', () => {
    const { log, lines } = capture()
    log.error({ err: new AppError('Internal', 'outer', new TypeError('inner')) }, 'failed')
    expect(lines()[0]).toMatchObject({
      err: {
        type: 'AppError',
        code: 'Internal',
        message: 'outer',
        stack: expect.stringContaining('log.test.ts'),
        cause: { type: 'TypeError', message: 'inner' },
      },
    })
  })

  test('survives what cannot be written', () => {
    const { log, lines } = capture()
    const loop: Record<string, unknown> = { name: 'loop' }
    loop.self = loop
    log.info({ loop, big: 1n, missing: undefined, empty: null, when: new Date(0) }, 'odd')
    expect(lines()[0]).toMatchObject({
      msg: 'odd',
      loop: { name: 'loop' },
      empty: null,
      when: '1970-01-01T00:00:00.000Z',
    })
  })
})

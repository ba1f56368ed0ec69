import { AppError, ERRORS, type ErrorCode } from '@tenantry/crds/errors.ts'
import { describe, expect, test } from 'vitest'
import { nextAfter, sooner } from './next.ts'

const INTERVAL = 300_000
const codes = (retry: string): ErrorCode[] =>
  (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].retry === retry)
const errors = (...list: ErrorCode[]): AppError[] => list.map((code) => new AppError(code, 'of a test'))

describe('the next look', () => {
  test.each(codes('backoff'))('after %s comes with backoff', (code) => {
    expect(nextAfter(errors(code), false, INTERVAL)).toEqual({ when: 'backoff' })
  })

  test.each(codes('slow'))('after %s comes within a minute, or the interval where that is shorter', (code) => {
    expect(nextAfter(errors(code), false, INTERVAL)).toEqual({ when: 'after', ms: 60_000 })
    expect(nextAfter(errors(code), false, 1000)).toEqual({ when: 'after', ms: 1000 })
  })

  test.each(codes('never'))('after %s comes when something happens', (code) => {
    expect(nextAfter(errors(code), false, INTERVAL)).toEqual({ when: 'event' })
  })

  test('is the soonest that any of several errors asks for', () => {
    expect(nextAfter(errors('InvalidSpec', 'SecretNotFound', 'Timeout'), false, INTERVAL)).toEqual({ when: 'backoff' })
    expect(nextAfter(errors('InvalidSpec', 'SecretNotFound'), false, INTERVAL)).toEqual({ when: 'after', ms: 60_000 })
  })

  test('comes within a minute while something waits for a person', () => {
    expect(nextAfter([], true, INTERVAL)).toEqual({ when: 'after', ms: 60_000 })
    expect(nextAfter([], false, INTERVAL)).toEqual({ when: 'event' })
  })

  test('may be brought forward, and never delayed', () => {
    expect(sooner({ when: 'event' }, 500)).toEqual({ when: 'after', ms: 500 })
    expect(sooner({ when: 'after', ms: 100 }, 500)).toEqual({ when: 'after', ms: 100 })
    expect(sooner({ when: 'after', ms: 900 }, 500)).toEqual({ when: 'after', ms: 500 })
    expect(sooner({ when: 'backoff' }, 500)).toEqual({ when: 'backoff' })
    expect(sooner({ when: 'event' }, undefined)).toEqual({ when: 'event' })
  })
})

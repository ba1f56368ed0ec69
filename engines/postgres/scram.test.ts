import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { scramVerifier } from './scram.ts'

describe('SCRAM verifiers', () => {
  test('hold the keys of RFC 5802 for the password, under a new salt each time', async () => {
    const verifier = await scramVerifier('pencil')
    const [, iterations, salt, stored, server] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$/.exec(verifier) ?? []
    const salted = pbkdf2Sync('pencil', Buffer.from(salt ?? '', 'base64'), Number(iterations), 32, 'sha256')
    const client = createHmac('sha256', salted).update('Client Key').digest()
    expect(createHash('sha256').update(client).digest('base64')).toBe(stored)
    expect(createHmac('sha256', salted).update('Server Key').digest('base64')).toBe(server)
    expect(await scramVerifier('pencil')).not.toBe(verifier)
  })

  test.each([[''], ['pässword'], ['line\nbreak'], ['nul\0']])(
    'are refused for %j, which SASLprep might change',
    async (password) => {
      const refused = scramVerifier(password)
      await expect(refused).rejects.toMatchObject({ code: 'SecretInvalid' })
      if (password) await expect(refused).rejects.not.toThrow(password)
    },
  )
})

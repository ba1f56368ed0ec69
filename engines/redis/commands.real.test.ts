import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix, useStack } from '../../test/support/stack.ts'
import { parseGetUser, parseListLine, setUserArgs } from './acl.ts'
import { ALLOWED, REFUSED, WRITES } from './commands.cases.ts'
import { accessRules, allowedCommands, type CommandTable, parseCommands } from './commands.ts'
import { type Access, keyPrefix, loginName } from './model.ts'

const name = `t_commands_${freshSuffix()}`
const other = `t_other_${freshSuffix()}`
const own = `${keyPrefix(name)}k`
const foreign = `${keyPrefix(other)}k`
const library = `lib${freshSuffix()}`
const owner = { installation: 'commands', kind: 'Tenant', namespace: 'lab', name: 'acme', uid: '1' } as const

let admin: Redis
let table: CommandTable
const clients: Redis[] = []

function login(username: string, password = 'pw'): Redis {
  const { host, port } = useStack().redis
  const client = new Redis({
    host,
    port,
    username,
    password,
    protocol: 2,
    enableReadyCheck: false,
    retryStrategy: () => null,
  })
  client.on('error', () => undefined)
  clients.push(client)
  return client
}

/** The server's answer in one word: `ok`, or the code of the refusal. */
async function outcome(client: Redis, command: readonly string[]): Promise<string> {
  const [head = '', ...args] = command
  return client.call(head, ...args).then(
    () => 'ok',
    (error: Error) => error.message.split(' ')[0] ?? '',
  )
}

const words = (text: string): string[] => text.replaceAll(/\bOWN/g, own).replaceAll('FOREIGN', foreign).split(' ')

beforeAll(async () => {
  const { username = '', password = '' } = useStack().redis
  admin = login(username, password)
  table = parseCommands(await admin.call('COMMAND'))
  for (const access of ['ReadWrite', 'ReadOnly'] as const) {
    const spec = { name, login: loginName(name, access), access, enabled: true, fingerprint: 'f' }
    await admin.call('ACL', 'SETUSER', spec.login, ...setUserArgs(owner, spec, 'pw', table))
  }
  const code = `#!lua name=${library}
    redis.register_function('${library}_scan', function() return redis.call('SCAN', '0') end)
    redis.register_function('${library}_get', function(keys, args) return redis.call('GET', args[1]) end)
    redis.register_function{function_name='${library}_ro', flags={'no-writes'}, callback=function(keys) return redis.call('GET', keys[1]) end}`
  await admin.call('FUNCTION', 'LOAD', code)
  await admin.mset(own, '1', foreign, 'secret')
})

afterAll(async () => {
  await admin.call('FUNCTION', 'DELETE', library)
  await admin.call('ACL', 'DELUSER', loginName(name, 'ReadWrite'), loginName(name, 'ReadOnly'))
  await admin.del(own, foreign)
  for (const client of clients) client.disconnect()
})

describe('the ACL of a tenant', () => {
  const user = (access: Access): string => loginName(name, access)

  test.each([...ALLOWED, ...WRITES, `FCALL ${library}_ro 1 OWN`])('lets a ReadWrite login run %s', async (text) => {
    const login1 = user('ReadWrite')
    expect(await outcome(login(login1), words(text.replace('LOGIN', login1)))).toBe('ok')
  })

  test.each([...ALLOWED, `FCALL_RO ${library}_ro 1 OWN`])('lets a ReadOnly login run %s', async (text) => {
    const login1 = user('ReadOnly')
    expect(await outcome(login(login1), words(text.replace('LOGIN', login1)))).toBe('ok')
  })

  test.each([...REFUSED, `FCALL ${library}_ro 1 FOREIGN`])(
    'refuses %s to both logins, alone and in a transaction',
    async (text) => {
      for (const access of ['ReadWrite', 'ReadOnly'] as const) {
        const client = login(user(access))
        const command = words(text.replace('LOGIN', user(access)))
        expect(await outcome(client, command), access).toBe('NOPERM')
        await client.call('MULTI')
        // ERR: some are refused in a transaction whoever asks.
        expect(await outcome(client, command), `${access} in MULTI`).toMatch(/^(NOPERM|ERR)$/)
        expect(await outcome(client, ['EXEC']), access).toBe('EXECABORT')
      }
    },
  )

  test.each([...WRITES, `FCALL ${library}_ro 1 OWN`])('refuses %s to a ReadOnly login', async (text) => {
    expect(await outcome(login(user('ReadOnly')), words(text))).toBe('NOPERM')
  })

  test.each([
    'SUBSCRIBE FOREIGN',
    'PSUBSCRIBE *',
    'PSUBSCRIBE FOREIGN*',
    'SSUBSCRIBE FOREIGN',
    'SUBSCRIBE __keyevent@0__:set',
  ])('refuses %s', async (text) => {
    expect(await outcome(login(user('ReadWrite')), words(text))).toBe('NOPERM')
  })

  test('holds inside functions: they neither list keys nor read keys of another tenant', async () => {
    const client = login(user('ReadWrite'))
    await expect(client.call('FCALL', `${library}_scan`, '0')).rejects.toThrow(
      /can't run this command|no permissions|NOPERM/i,
    )
    await expect(client.call('FCALL', `${library}_get`, '0', foreign)).rejects.toThrow(/key|NOPERM/i)
    expect(await client.call('FCALL', `${library}_get`, '0', own)).toBe(await admin.get(own))
  })

  test('delivers messages of own channels to subscribers', async () => {
    const subscriber = login(user('ReadOnly'))
    const { promise, resolve } = Promise.withResolvers<string>()
    subscriber.on('pmessage', (_pattern, _channel, message) => resolve(message))
    await subscriber.psubscribe(`${keyPrefix(name)}*`)
    await login(user('ReadWrite')).publish(`${own}:channel`, 'hello')
    expect(await promise).toBe('hello')
  })

  test('leaves nothing to whoever logs out with RESET', async () => {
    const client = login(user('ReadWrite'))
    expect(await outcome(client, ['RESET'])).toBe('ok')
    expect(await outcome(client, ['GET', own])).toBe('NOAUTH')
  })

  test('lets the usual clients connect with their own defaults', async () => {
    const { host, port } = useStack().redis
    const uri = `redis://${user('ReadWrite')}:pw@${host}:${port}/0`
    const resp3 = new Redis(uri, { enableReadyCheck: false })
    clients.push(resp3)
    expect(await resp3.set(own, '1')).toBe('OK')
    expect(await resp3.multi().incr(own).get(own).exec()).toEqual([
      [null, 2],
      [null, '2'],
    ])
    await resp3.del(own)
  })
})

describe('the evaluation of rules', () => {
  test.each(['ReadWrite', 'ReadOnly'] as const)('agrees with the server on every command of %s', async (access) => {
    const username = loginName(name, access)
    const allowed = allowedCommands(accessRules(access, table).join(' '), table)
    const arities = new Map<string, number>()
    const collect = (entry: unknown): void => {
      const [command, arity, , , , , , , , subs] = entry as [string, number, ...unknown[]]
      arities.set(command, Math.abs(arity))
      for (const sub of (subs as unknown[] | undefined) ?? []) collect(sub)
    }
    for (const entry of (await admin.call('COMMAND')) as unknown[]) collect(entry)
    const containers = new Set([...table.keys()].filter((c) => c.includes('|')).map((c) => c.split('|')[0]))
    const commands = [...table.keys()].filter((c) => c === 'command' || !containers.has(c))
    for (const command of commands) {
      const head = command.split('|')
      const filler = Array<string>(Math.max(0, (arities.get(command) ?? 1) - head.length)).fill(own)
      const answer = String(await admin.call('ACL', 'DRYRUN', username, ...head, ...filler))
      expect(!answer.includes('no permissions to run'), `${command}: ${answer}`).toBe(allowed.has(command))
    }
  })

  test('reads the same from ACL LIST and from ACL GETUSER, selectors and all', async () => {
    const username = `t_both_${freshSuffix()}`
    await admin.call(
      'ACL',
      'SETUSER',
      username,
      'on',
      '>a',
      '>b',
      '~a*',
      '%W~b',
      '&c',
      '+get',
      '(+set ~d %R~e)',
      '(+@read ~f)',
    )
    const lines = (await admin.call('ACL', 'LIST')) as string[]
    const listed = parseListLine(lines.find((l) => l.startsWith(`user ${username} `)) ?? '')
    const got = parseGetUser(username, await admin.call('ACL', 'GETUSER', username))
    await admin.call('ACL', 'DELUSER', username)
    expect(listed).toMatchObject({ enabled: true, nopass: false, keys: ['~a*', '%W~b'], channels: ['&c'] })
    expect(listed?.selectors).toHaveLength(2)
    expect({ ...got, selectors: got?.selectors.length }).toEqual({ ...listed, selectors: 2 })
    expect(allowedCommands(got?.commands ?? '', table)).toEqual(new Set(['get']))
  })
})

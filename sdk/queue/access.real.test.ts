import { type ClientConfig, escapeIdentifier } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshSuffix } from '../../test/support/stack.ts'
import { bindTenant, grantQueue, installQueue, unbindTenant } from './install.ts'
import { openQueue, type Queue } from './queue.ts'
import { type AnyJobs, connect, eventually, freshLab, type Lab } from './testing/lab.ts'

interface Login {
  readonly name: string
  readonly postgres: ClientConfig
  readonly queue: Queue<AnyJobs>
}

async function freshLogin({ client, postgres, schema }: Lab): Promise<Login> {
  const name = `we'ird "login" ${freshSuffix()}`
  await client.query(`CREATE ROLE ${escapeIdentifier(name)} LOGIN PASSWORD 'secret'`)
  const own = { ...postgres, user: name, password: 'secret' }
  const queue = openQueue<AnyJobs>({ postgres: own, schema })
  onTestFinished(() => queue.close())
  return { name, postgres: own, queue }
}

describe('rights', () => {
  test("a tenant's login enqueues, sees and cancels its own jobs and no others", async () => {
    const lab = await freshLab()
    const { client, schema, queue } = lab
    const login = await freshLogin(lab)
    await expect(login.queue.add('note', 1)).rejects.toMatchObject({ code: 'Forbidden' })
    await bindTenant(client, { schema, login: login.name, tenant: 'acme' })
    const own = await login.queue.add('note', 1)
    await login.queue.add('note', 1, { tenant: 'acme' })
    await expect(login.queue.add('note', 1, { tenant: 'other' })).rejects.toMatchObject({ code: 'Forbidden' })
    const other = await queue.add('note', 2, { tenant: 'other' })
    expect((await login.queue.find()).map(({ tenant }) => tenant)).toEqual(['acme', 'acme'])
    expect(await login.queue.find({ ids: [other.id] })).toEqual([])
    expect(await login.queue.events(other.id)).toEqual([])
    expect(await login.queue.cancel([own.id, other.id])).toEqual([own.id])
    for (const forbidden of [
      () => login.queue.redrive(),
      () => login.queue.pause({ queue: 'default' }),
      () => login.queue.setQuota('acme', { weight: 100 }),
      () => login.queue.stats(),
      () => login.queue.worker({}),
    ]) {
      await expect(forbidden()).rejects.toMatchObject({ code: 'Forbidden' })
    }
    await unbindTenant(client, { schema, login: login.name })
    await expect(login.queue.find()).rejects.toMatchObject({ code: 'Forbidden' })
  })

  test('nobody but the owner reaches a table, whatever its access', async () => {
    const lab = await freshLab()
    const { client, schema } = lab
    for (const access of ['tenant', 'producer', 'worker', 'operator'] as const) {
      const login = await freshLogin(lab)
      if (access === 'tenant') await bindTenant(client, { schema, login: login.name, tenant: 'acme' })
      else await grantQueue(client, { schema, role: login.name, access })
      const own = await connect(login.postgres)
      const { rows } = await own.query(
        `SELECT relname FROM pg_class c WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'S')
          AND CASE relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE, SELECT, UPDATE')
            ELSE has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END`,
        [escapeIdentifier(schema)],
      )
      expect(rows).toEqual([])
      await login.queue.add('note', 1)
      await expect(own.query(`SELECT ${escapeIdentifier(schema)}.put('[]', NULL, NULL)`)).rejects.toThrow(
        /permission denied/,
      )
    }
  })

  test("a worker's login works, and keeps its rights when the functions are made anew", async () => {
    const lab = await freshLab()
    const { client, schema } = lab
    const login = await freshLogin(lab)
    await grantQueue(client, { schema, role: login.name, access: 'worker' })
    await client.query(`UPDATE ${escapeIdentifier(schema)}.setting SET fingerprint = 'older'`)
    await installQueue(client, { schema })
    const seen: unknown[] = []
    await login.queue.worker({ note: (payload) => void seen.push(payload) }, { poll: 20 })
    await login.queue.add('note', 1, { tenant: 'any' })
    await eventually(() => expect(seen).toEqual([1]))
    await expect(login.queue.redrive()).rejects.toMatchObject({ code: 'Forbidden' })
  })
})

describe('installing', () => {
  test('is repeatable, keeps jobs, and leaves a schema alone that holds something else', async () => {
    const { client, schema, queue } = await freshLab()
    await queue.add('note', 1)
    await Promise.all([installQueue(client, { schema }), undefined])
    expect(await queue.find()).toHaveLength(1)
    await client.query('CREATE SCHEMA taken; CREATE TABLE taken.mine (id int)')
    await expect(installQueue(client, { schema: 'taken' })).rejects.toMatchObject({ code: 'NotInstalled' })
    await client.query(`COMMENT ON SCHEMA ${escapeIdentifier(schema)} IS 'tenantry queue, steps: 99'`)
    await expect(installQueue(client, { schema })).rejects.toThrow(/newer version/)
  })

  test('a queue that is not installed is told as such', async () => {
    const { open } = await freshLab()
    await expect(open({ schema: 'nowhere' }).add('note', 1)).rejects.toMatchObject({ code: 'NotInstalled' })
  })
})

describe('history', () => {
  test('old days are dropped, and jobs that live, are dead or ended lately keep their ids and rows', async () => {
    const { client, schema, queue, store } = await freshLab()
    const s = escapeIdentifier(schema)
    const day = 86_400_000
    const base = (BigInt(Date.now() - 20 * day) << 20n) & ~0xfffffn
    await client.query('BEGIN')
    const date = new Date(Date.now() - 20 * day).toISOString().slice(0, 10)
    const low = BigInt(Date.parse(date)) << 20n
    const part = `job_${date.replaceAll('-', '')}`
    await client.query(
      `CREATE TABLE ${s}.${part} PARTITION OF ${s}.job FOR VALUES FROM (${low}) TO (${low + (BigInt(day) << 20n)})`,
    )
    for (const [i, state] of [0, 1, 3, 3, 4].entries()) {
      await client.query(
        `INSERT INTO ${s}.job (id, run_at, changed_at, state, priority, max_attempts, queue, tenant, name, payload)
          VALUES ($1, now(), now() - $3::interval, $2, 1, 1, 'default', 't', 'old', '1')`,
        [String(base + BigInt(i)), state, i === 3 ? '1 hour' : '19 days'],
      )
    }
    await client.query('COMMIT')
    const fresh = await queue.add('note', 1)
    expect(await queue.retain({ finished: '7 days', dead: '30 days', events: '90 days' })).toEqual([part])
    const left = (await queue.find({ name: 'old' })).map(({ id }) => Number(BigInt(id) - base))
    expect(left.toSorted()).toEqual([0, 1, 3, 4])
    expect(await queue.find({ ids: [fresh.id] })).toHaveLength(1)
    expect(await store.value(client, 'prepare_days')).toBe(0)
    expect(await queue.retain({ finished: '7 days', dead: '10 days', events: '90 days' })).toEqual([])
    expect(await queue.find({ name: 'old', state: 'dead' })).toEqual([])
    expect(await queue.find({ name: 'old', state: 'ready' })).toHaveLength(1)
  })
})

describe('bad input', () => {
  test('is refused with what was wrong, at the caller and by the database alike', async () => {
    const { queue, client, store } = await freshLab()
    const large = 'x'.repeat(10_000_000)
    const cases: readonly (readonly [() => Promise<unknown>, string, RegExp])[] = [
      [() => queue.add('note', large), 'PayloadTooLarge', /10000002 bytes.*1048576/],
      [() => queue.add('', 1), 'InvalidJob', /name/],
      [() => queue.add('note', 1n), 'InvalidJob', /BigInt/],
      [() => queue.add('note', 'a\0b'), 'InvalidJob', /U\+0000/],
      [() => queue.add('note', 'a\ud800b'), 'InvalidJob', /surrogate/],
      [() => queue.add('note', 1, { queue: 'nowhere' }), 'UnknownQueue', /nowhere/],
      [() => queue.add('note', 1, { attempts: 0 }), 'InvalidJob', /attempts/],
      [() => queue.add('note', 1, { at: new Date('never') }), 'InvalidJob', /date/],
      [() => queue.setQueue('default', { concurrency: 0 }), 'InvalidOptions', /concurrency/],
      [() => queue.worker({}, { concurrency: 0 }), 'InvalidOptions', /concurrency/],
    ]
    for (const [attempt, code, message] of cases) {
      await expect(attempt()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    }
    const raw: readonly (readonly [string, string])[] = [
      [`[{"name":"n","payload":"${large}"}]`, 'PayloadTooLarge'],
      ['[{"name":"n","payload":{"a":}}]', 'InvalidJob'],
      ['[{"payload":1}]', 'InvalidJob'],
      ['[{"name":"n","delay":-5}]', 'InvalidJob'],
      ['[{"name":"n","priority":7}]', 'InvalidJob'],
      ['{}', 'InvalidJob'],
    ]
    for (const [text, code] of raw) {
      await expect(store.value(client, 'enqueue', text), text.slice(0, 50)).rejects.toMatchObject({ code })
    }
    expect(await queue.find()).toEqual([])
  })

  test('one bad job fails none of those that were added with it', async () => {
    const { queue } = await freshLab()
    const results = await Promise.allSettled([
      queue.add('note', 1),
      queue.add('note', 2, { queue: 'nowhere' }),
      queue.add('note', 3),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await queue.find()).toHaveLength(2)
  })

  test('names and payloads of any kind arrive as they were', async () => {
    const { queue } = await freshLab('redis')
    const name = `na'me "x" $1 \\ {} | é😀`
    await queue.setQueue(`que'ue "x" \\ {}|*`)
    const payload = { "a'b": ['"', '\\', '\\u0000', '\\\\ud800', '$1', { __proto__: null, x: [] }], '': null }
    const seen: unknown[] = []
    await queue.worker(
      { [name]: (value, { tenant, queue: from }) => void seen.push([value, tenant, from]) },
      { poll: 20 },
    )
    const options = { tenant: `ten'ant "x" | é`, queue: `que'ue "x" \\ {}|*`, key: `k'"`, tags: [`t'",{}`] }
    const { id } = await queue.add(name, payload, options)
    await eventually(() => expect(seen).toEqual([[payload, options.tenant, options.queue]]))
    expect(await queue.find({ tag: `t'",{}` })).toMatchObject([{ id, name, key: options.key }])
  })

  test('a job that nobody has a handler for is tried again and then dead, with the reason', async () => {
    const { queue } = await freshLab()
    await queue.setQueue('default', { backoff: 10, attempts: 2 })
    await queue.worker({}, { poll: 20 })
    const { id } = await queue.add('nobody', 1)
    await eventually(async () => {
      expect(await queue.find({ ids: [id] })).toMatchObject([
        { state: 'dead', error: expect.stringContaining('no handler for nobody') },
      ])
    })
  })
})

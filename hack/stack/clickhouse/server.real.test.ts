import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClickHouseClient, ClickHouseError, createClient, TupleParam } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshSuffix, useStack } from '../../../test/support/stack.ts'

type Options = NonNullable<Parameters<typeof createClient>[0]>

const database = `test_${freshSuffix()}`
const clients: ClickHouseClient[] = []

function connect(options: Options = {}): ClickHouseClient {
  const { host, port, username, password } = useStack().clickhouse
  const access = { username: username ?? '', password: password ?? '' }
  const client = createClient({ url: `http://${host}:${port}`, ...access, log: { level: 127 }, ...options })
  clients.push(client)
  return client
}

async function rejection(promise: Promise<unknown>): Promise<{ code: string; type: string | undefined }> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ClickHouseError)) throw new Error('expected a ClickHouseError', { cause: error })
  return { code: error.code, type: error.type }
}

beforeAll(async () => {
  await connect().command({ query: `CREATE DATABASE ${database}` })
})

afterAll(async () => {
  await connect().command({ query: `DROP DATABASE IF EXISTS ${database}` })
  await Promise.all(clients.map((client) => client.close()))
})

describe('the embedded ClickHouse', () => {
  test('answers both kinds of ping', async () => {
    const client = connect()
    expect(await client.ping()).toEqual({ success: true })
    expect(await client.ping({ select: true })).toEqual({ success: true })
  })

  test('gives rows in the format the client asks for, and that of the query itself', async () => {
    const client = connect({ compression: { response: true } })
    const query = 'SELECT number AS n, toString(number) AS s FROM numbers(2)'
    expect(await (await client.query({ query, format: 'JSONEachRow' })).json()).toEqual([
      { n: 0, s: '0' },
      { n: 1, s: '1' },
    ])
    expect(await (await client.query({ query, format: 'JSON' })).json()).toMatchObject({
      rows: 2,
      data: [{ n: 0 }, { n: 1 }],
    })
    expect(await (await client.query({ query, format: 'CSV' })).text()).toBe('0,"0"\n1,"1"\n')
    const streamed: unknown[] = []
    for await (const rows of (await client.query({ query, format: 'JSONEachRow' })).stream()) {
      streamed.push(...rows.map((row) => row.json()))
    }
    expect(streamed).toHaveLength(2)
    const exec = await client.exec({ query: 'SELECT 1 AS one FORMAT JSONCompact' })
    expect(JSON.parse(await textOf(exec.stream))).toMatchObject({ data: [[1]] })
  })

  test('tells how much it found and under which id', async () => {
    const result = await connect().query({ query: 'SELECT sum(number) FROM numbers(1000)', query_id: 'my-id' })
    expect(result.query_id).toBe('my-id')
    expect(result.response_headers['x-clickhouse-format']).toBe('JSON')
    const { summary } = await connect().command({ query: 'SELECT number FROM numbers(10)' })
    expect(summary).toMatchObject({ result_rows: '10', written_rows: '0', total_rows_to_read: '0' })
  })

  test('binds parameters of every type and never takes one for SQL', async () => {
    const hostile = `'; DROP TABLE x; -- \\ \\' " \` \n\t\r ☃ {a:String} \\N $$`
    const params = {
      string: hostile,
      strings: [hostile, ''],
      int: -5,
      big: 2n ** 63n - 1n,
      float: 1.5,
      flag: true,
      none: null,
      day: '2026-02-03',
      time: new Date('2026-02-03T04:05:06Z'),
      map: new Map([[hostile, 1]]),
      tuple: new TupleParam([1, hostile]),
      table: 'one',
    }
    const result = await connect().query({
      query: `SELECT {string:String} AS string, {strings:Array(String)} AS strings, {int:Int32} AS int, {big:Int64} AS big,
                {float:Float64} AS float, {flag:Bool} AS flag, {none:Nullable(String)} AS none, {day:Date} AS day,
                {time:DateTime} AS time, {map:Map(String, UInt8)} AS map, {tuple:Tuple(UInt8, String)} AS tuple
              FROM system.{table:Identifier}`,
      query_params: params,
      format: 'JSONEachRow',
      clickhouse_settings: {
        output_format_json_quote_64bit_integers: 1,
        output_format_json_named_tuples_as_objects: 0,
      },
    })
    expect(await result.json()).toEqual([
      {
        ...{ string: hostile, strings: [hostile, ''], int: -5, big: '9223372036854775807', float: 1.5, flag: true },
        ...{ none: null, day: '2026-02-03', time: '2026-02-03 04:05:06', map: { [hostile]: 1 }, tuple: [1, hostile] },
      },
    ])
  })

  test('keeps the parameters of many queries at once apart', async () => {
    const client = connect({ max_open_connections: 8 })
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const result = await client.query({
          query: 'SELECT {index:UInt32} AS index, sleep(0.01)',
          query_params: { index },
          format: 'JSONEachRow',
        })
        return (await result.json<{ index: number }>())[0]?.index
      }),
    )
    expect(answers).toEqual(Array.from({ length: 40 }, (_, index) => index))
  })

  test.each([false, true])('takes 50,000 rows by stream (compressed: %s) and says how many', async (request) => {
    const client = connect({ database, compression: { request } })
    const table = `events_${freshSuffix()}`
    await client.command({ query: `CREATE TABLE ${table} (n UInt32, s String) ENGINE = MergeTree ORDER BY n` })
    async function* rows(): AsyncGenerator<object> {
      for (let n = 0; n < 50_000; n++) yield { n, s: `it's ${n}; FORMAT CSV\n` }
    }
    const inserted = await client.insert({ table, values: Readable.from(rows()), format: 'JSONEachRow' })
    expect(inserted.summary).toMatchObject({ written_rows: '50000' })
    await client.insert({ table, values: [[50_000, 'x']], format: 'JSONCompactEachRow', columns: ['n', 's'] })
    await client.insert({ table, values: Readable.from(['50001,"a;b"\n'], { objectMode: false }), format: 'CSV' })
    await client.insert({ table, values: Readable.from([], { objectMode: true }), format: 'JSONEachRow' })
    await client.command({ query: `INSERT INTO ${table} VALUES (50002, 'a;b'), (50003, 'FORMAT')` })
    const result = await client.query({
      query: `SELECT count() AS c, max(n) AS m FROM ${table}`,
      format: 'JSONEachRow',
    })
    expect(await result.json()).toEqual([{ c: 50_004, m: 50_003 }])
  })

  test('applies settings to one request alone', async () => {
    const client = connect()
    const read = async (clickhouse_settings?: Record<string, string | number>): Promise<unknown> => {
      const query = "SELECT getSetting('max_block_size') AS size, getSetting('max_memory_usage') AS memory"
      return (
        await client.query({ query, format: 'JSONEachRow', ...(clickhouse_settings && { clickhouse_settings }) })
      ).json()
    }
    const before = await read()
    expect(await read({ max_block_size: '123', max_memory_usage: 1_000_000_000 })).toEqual([
      { size: 123, memory: 1_000_000_000 },
    ])
    expect(await read()).toEqual(before)
    await client.command({ query: 'SET max_block_size = 77' })
    expect(await read()).toEqual(before)
  })

  test('keeps what a session sets for that session alone', async () => {
    const client = connect({ session_id: `s-${freshSuffix()}`, max_open_connections: 1 })
    await client.command({ query: 'CREATE TEMPORARY TABLE mine (n UInt8)' })
    await client.insert({ table: 'mine', values: [{ n: 7 }], format: 'JSONEachRow' })
    expect(await (await client.query({ query: 'SELECT n FROM mine', format: 'JSONEachRow' })).json()).toEqual([
      { n: 7 },
    ])
    expect(await rejection(connect().query({ query: 'SELECT n FROM mine' }))).toEqual({
      code: '60',
      type: 'UNKNOWN_TABLE',
    })
  })

  test.each([
    ['SELECT * FROM no_such_table', '60', 'UNKNOWN_TABLE'],
    ['selec 1', '62', 'SYNTAX_ERROR'],
    ['1 + 1', '62', 'SYNTAX_ERROR'],
    ['SELECT 1; DROP TABLE x', '62', 'SYNTAX_ERROR'],
    ['SELECT * FROM no_such_database.x', '81', 'UNKNOWN_DATABASE'],
    ['DROP DATABASE no_such_database', '81', 'UNKNOWN_DATABASE'],
    ['SELECT no_such_function()', '46', 'UNKNOWN_FUNCTION'],
    ['SELECT 1 SETTINGS no_such_setting = 1', '115', 'UNKNOWN_SETTING'],
    ['SELECT {missing:String}', '456', 'UNKNOWN_QUERY_PARAMETER'],
    ["SELECT throwIf(1, 'no')", '395', 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO'],
  ])('answers %s with code %s', async (query, code, type) => {
    expect(await rejection(connect().command({ query }))).toEqual({ code, type })
  })

  test.each(["SELECT ';' AS a, 1 AS `;`;", 'SELECT 1 -- ; \n;\n', 'SELECT $x$;$x$ /* ; */'])(
    'runs %s as one statement',
    async (query) => {
      await expect(connect().command({ query })).resolves.toBeTruthy()
    },
  )

  test('refuses a wrong password, an unknown user and a missing database', async () => {
    const denied = { code: '516', type: 'AUTHENTICATION_FAILED' }
    expect(await rejection(connect({ password: 'wrong' }).query({ query: 'SELECT 1' }))).toEqual(denied)
    expect(await rejection(connect({ username: 'nobody' }).query({ query: 'SELECT 1' }))).toEqual(denied)
    const { host, port } = useStack().clickhouse
    const response = await fetch(`http://${host}:${port}/?query=SELECT%201`)
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([403, '516'])
    expect(await rejection(connect({ database: 'no`such' }).query({ query: 'SELECT 1' }))).toEqual({
      code: '81',
      type: 'UNKNOWN_DATABASE',
    })
  })

  test('names no setting that could be a statement', async () => {
    const settings = { 'max_threads = 1, max_block_size': '1' } as Record<string, string>
    expect(await rejection(connect().query({ query: 'SELECT 1', clickhouse_settings: settings }))).toMatchObject({
      code: '115',
    })
  })

  test('refuses binary data rather than damage it, and unreadable requests', async () => {
    const { host, port, username, password } = useStack().clickhouse
    const ask = (path: string, init: RequestInit): Promise<Response> =>
      fetch(`http://${host}:${port}${path}`, {
        method: 'POST',
        ...init,
        headers: { 'X-ClickHouse-User': username ?? '', 'X-ClickHouse-Key': password ?? '', ...init.headers },
      })
    const binary = await ask('/?query=INSERT%20INTO%20x%20FORMAT%20Native', { body: new Uint8Array([255, 254, 0]) })
    expect([binary.status, await binary.text()]).toEqual([501, expect.stringContaining('(NOT_IMPLEMENTED)')])
    expect((await ask('/', { body: 'x', headers: { 'content-encoding': 'gzip' } })).status).toBe(500)
    expect((await ask('/nowhere', {})).status).toBe(404)
    expect(await (await ask('/', {})).text()).toBe('Ok.\n')
    const readOnly = await ask('/?query=DROP%20DATABASE%20default', { method: 'GET' })
    expect(readOnly.headers.get('x-clickhouse-exception-code')).toBe('164')
  })

  test('lets a short query of one client pass a long one of another', async () => {
    let longIsDone = false
    const long = connect()
      .command({ query: 'SELECT sleep(2)' })
      .then(() => {
        longIsDone = true
      })
    await sleep(100)
    await connect().command({ query: 'SELECT 1' })
    expect(longIsDone).toBe(false)
    await long
  })
})

async function textOf(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += Buffer.from(chunk).toString('utf8')
  return text
}

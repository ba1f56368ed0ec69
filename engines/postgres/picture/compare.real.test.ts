import { beforeAll, describe, expect, test } from 'vitest'
import type { MigrationFile, SchemaAnswer } from '../../model.ts'
import { postgres } from '../engine.ts'
import { bind } from '../migrate/bind.ts'
import { byHand, freshShard, make, type Shard, signal, sqlFile, type TenantWish } from '../testing/lab.ts'
import { DAMAGES, EVERYTHING } from './testing/everything.ts'
import { wordsFor } from './words.ts'

const LATER = sqlFile('2', 'CREATE TABLE later (id int)')

const subjectOf = ({ name, owner }: TenantWish) => ({ schema: name, tenant: `${owner.namespace}/${owner.name}` })

describe('the tables of tenants', () => {
  let shard: Shard
  beforeAll(async () => {
    shard = await freshShard('Schema')
  })

  const compare = async (
    wishes: readonly TenantWish[],
    files: readonly MigrationFile[] = [EVERYTHING, LATER],
  ): Promise<readonly SchemaAnswer[]> => {
    const subjects = wishes.map(subjectOf)
    const answers = (await shard.session.compareSchemas?.({ files, shared: false, subjects }, signal)) ?? []
    return answers.toSorted((a, b) => (a.schema < b.schema ? -1 : 1))
  }
  const inSchema = async ({ name }: TenantWish, ...statements: readonly string[]): Promise<void> => {
    await byHand(shard.admin, `SET ROLE ${name}_owner`, `SET search_path TO ${name}`, ...statements)
  }

  /** What was made by hand, as if the files had made it. */
  const record = async (schema: string, { checksum }: MigrationFile): Promise<void> => {
    const values = `'${schema.replaceAll("'", "''")}', '1', 'x', '${checksum}', '', now(), now(), 'lab'`
    const columns = 'schema, version, name, checksum, body, started_at, finished_at, installation'
    const [row] = await byHand(
      shard.admin,
      "SELECT FROM pg_attribute WHERE attrelid = 'tenantry.migration'::regclass AND attname = 'seq'",
    )
    const [more, their] = row ? [', seq, event', ", 1, 'apply'"] : ['', '']
    await byHand(shard.admin, `INSERT INTO tenantry.migration (${columns}${more}) VALUES (${values}${their})`)
  }

  test('are as their files make them, at whatever version, and nothing remains of finding that out', async () => {
    const [old, young] = [
      shard.tenant('old', { files: [EVERYTHING] }),
      shard.tenant('young', { files: [EVERYTHING, LATER] }),
    ]
    await make(shard.session, old)
    await make(shard.session, young)
    const answers = await compare([old, young])
    const base = { differences: [], repairs: [] }
    expect(answers).toEqual([
      { ...base, schema: old.name, version: '1' },
      { ...base, schema: young.name, version: '2' },
    ])
    const left = `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantry\\_scratch%'
      UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'tenantry\\_scratch%'`
    expect(await byHand(shard.admin, left)).toEqual([])
  })

  test('are compared with the files that count, after one was undone', async () => {
    const wish = shard.tenant('undone', { files: [EVERYTHING, LATER] })
    await make(shard.session, wish)
    const down = { ...sqlFile('2', 'DROP TABLE later'), guards: [] }
    const undone = { ...wish.input, files: [EVERYTHING], reverted: [{ ...LATER, down }] }
    await make(shard.session, wish, postgres.tenantResources(undone))
    expect(await compare([wish])).toEqual([{ schema: wish.name, version: '1', differences: [], repairs: [] }])
    const history = await shard.session.history?.([wish.name], signal)
    expect(history?.map(({ version, live, retired }) => [version, live, retired])).toEqual([
      ['1', 1, 0],
      ['2', 0, 1],
    ])
  })

  test('that were changed by hand are told of object by object', async () => {
    const wish = shard.tenant('damaged', { files: [EVERYTHING] })
    await make(shard.session, wish)
    for (const [sql, words] of DAMAGES) {
      await inSchema(wish, sql).catch((error: unknown) => expect.soft(`${sql}: ${error}`).toBe('done'))
      const [answer] = await compare([wish])
      expect.soft(answer?.differences.map(wordsFor), sql).toEqual(expect.arrayContaining([...words]))
    }
    const all = DAMAGES.flatMap(([, words]) => words.map((word) => word.split(' ')[0]))
    const [answer] = await compare([wish])
    expect(new Set(answer?.differences.map(({ kind }) => kind.split(' ')[0]))).toEqual(new Set(all))
  })

  test('are made anew as far as nothing is lost, and then are as before', async () => {
    const wish = shard.tenant('repaired', { files: [EVERYTHING] })
    await make(shard.session, wish)
    await inSchema(
      wish,
      'DROP VIEW open_orders',
      'DROP MATERIALIZED VIEW totals',
      'DROP TABLE orders CASCADE',
      'DROP DOMAIN positive',
      'DROP FUNCTION vat',
      'ALTER TABLE customers DROP worth',
      'DROP TYPE amount',
    )
    const [found] = await compare([wish])
    expect(found?.differences.length).toBeGreaterThan(6)
    const changes = (found?.repairs ?? []).map((target) => ({
      op: 'create' as const,
      target: target as never,
      risk: 'safe' as const,
      fields: [],
      summary: target.id,
    }))
    const { failed } = await shard.session.apply({ owner: wish.owner, changes, secrets: wish.secrets }, signal)
    expect(failed?.error.message).toBeUndefined()
    const [after] = await compare([wish])
    expect(after?.differences.map(wordsFor)).toEqual(['statistics note_and_customer is missing'])
  })

  test('are compared under any name, which may stand in literals and bodies as well', async () => {
    const body = `CREATE TABLE a (home text DEFAULT :'schema', whose text DEFAULT :'tenant');
      CREATE FUNCTION home() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM :"schema".a WHERE whose = :'tenant' $$;
      CREATE VIEW homes AS SELECT a.home FROM :"schema".a;`
    const placeholders = [...body.matchAll(/:(['"])(schema|tenant)['"]/g)].map(
      ({ 0: whole, 1: quote, 2: value, index }) => ({
        start: index,
        end: index + whole.length,
        value: value as 'schema' | 'tenant',
        as: quote === '"' ? ('identifier' as const) : ('literal' as const),
      }),
    )
    const file = { ...sqlFile('1', body), placeholders }
    const names = [`we"ird 'na.me`, 'Ünï cödé$', 'select', 'back\\slash', `t_plain_00000000`]
    for (const [n, schema] of names.entries()) {
      const quoted = `"${schema.replaceAll('"', '""')}"`
      const run = bind({ ...file, schema, tenant: `ns/t${n}` })
      await byHand(shard.admin, `CREATE SCHEMA ${quoted}`, `SET search_path TO ${quoted}`, run)
      await record(schema, file)
    }
    const subjects = names.map((schema, n) => ({ schema, tenant: `ns/t${n}` }))
    const answers = (await shard.session.compareSchemas?.({ files: [file], shared: false, subjects }, signal)) ?? []
    expect(answers.map(({ schema, differences, unknown }) => [schema, differences, unknown])).toEqual(
      expect.arrayContaining(names.map((schema) => [schema, [], undefined])),
    )
    expect(answers).toHaveLength(names.length)
  })

  test('cannot be judged where a file is gone or cannot be run again, and the reason is told', async () => {
    const [lost, bad] = [shard.tenant('lost', { files: [EVERYTHING, LATER] }), shard.tenant('bad', { files: [LATER] })]
    await make(shard.session, lost)
    await make(shard.session, bad)
    const [answer] = await compare([lost], [EVERYTHING])
    expect(answer).toMatchObject({ differences: [], unknown: expect.stringContaining('the SQL file of version 2') })
    const [other] = await compare([bad], [{ ...LATER, body: 'CREATE TABEL x' }])
    expect(other?.unknown).toMatch(/^SQL file 2\.pg\.sql cannot be run in a scratch schema: syntax error/)
    expect(await compare([shard.tenant('never-made')])).toEqual([])
  })

  test('made by files that run outside a transaction are compared as well', async () => {
    const statements = ['CREATE TABLE c (id int);', 'CREATE INDEX CONCURRENTLY c_id ON c (id);', 'VACUUM c;']
    const body = statements.join('')
    const ranges = statements.map((one) => ({ start: body.indexOf(one), end: body.indexOf(one) + one.length }))
    const wish = shard.tenant('outside')
    await make(shard.session, wish)
    const file = { ...sqlFile('1', body), statements: ranges }
    await inSchema(wish, 'CREATE TABLE c (id int)', 'CREATE INDEX c_id ON c (id)')
    await record(wish.name, file)
    expect(await compare([wish], [file])).toEqual([{ schema: wish.name, version: '1', differences: [], repairs: [] }])
  })
})

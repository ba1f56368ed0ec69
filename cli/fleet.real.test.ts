import { KubeConfig } from '@kubernetes/client-node'
import type { Connection } from '@tenantry/engines/model.ts'
import { byHand } from '@tenantry/engines/postgres/testing/lab.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../test/support/operator.ts'
import { READY, shard, tables } from '../test/support/platform.ts'
import { freshPostgres, useStack } from '../test/support/stack.ts'
import { run } from './run.ts'

let op: TestOperator
let ref: string
let admin: Connection

const FIRST = { '0001_customers.sql': 'CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);' }
const SECOND = {
  '0002_orders.sql': 'CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers);',
}

async function command(...args: readonly string[]) {
  const said = { out: '', err: '' }
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(useStack().kubeconfig)
  const code = await run(args, {
    read: () => Promise.reject(new Error('no file is needed')),
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    },
    kubeConfig: async () => kubeConfig,
    width: 100,
  })
  return { code, ...said }
}

beforeAll(async () => {
  op = await startTestOperator()
  ref = `${op.namespace}/oltp`
  const connection = await freshPostgres()
  admin = connection
  await op.applySecret('oltp', connection)
  await op.applyFiles('tables', FIRST)
  const spec = { engine: 'PostgreSQL', isolation: 'Schema', ...shard('oltp'), ...tables('tables') } as const
  await op.applyDatabase({ name: 'oltp', spec })
  for (const name of ['acme', 'globex']) {
    await op.applyTenant({ name, spec: { databases: [{ name: 'main', databaseRef: { name: 'oltp' } }] } })
    await untilCondition(op, TENANTS, name, { condition: READY })
  }
})

describe('the commands on a fleet', () => {
  test('say that nothing is pending, with exit code 0, and tell the history', async () => {
    const { code, out, err } = await command('migrations', '--database', ref)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toBe(`Database ${ref}: 2 schemas, 0 with files pending\n  at 1: 2 (target)\n`)
    const history = await command('schema', '--database', ref)
    expect(history.out).toMatch(
      /^VERSION +FILE +FIRST +LAST +SCHEMAS +RETIRED +FAILED +BY\n1 +0001_customers\.sql .* 2 +0 +0 +\S+\n$/,
    )
    const one = await command('schema', '--database', ref, '--tenant', `${op.namespace}/acme`, '-o', 'json')
    expect(JSON.parse(one.out)).toMatchObject({ files: [{ version: '1', live: 1, retired: 0 }] })
  })

  test('draw what the files make, and a tenant as it is', async () => {
    const made = await command('schema', '--database', ref, '--diagram')
    expect(made.out).toBe('erDiagram\n    customers {\n        bigint id PK\n        text name\n    }\n')
    const own = await command('schema', '--database', ref, '--tenant', `${op.namespace}/acme`, '--diagram')
    expect(own).toEqual(made)
  })

  test('say what is pending, with exit code 1 and the statements, and write nothing', async () => {
    const database = await op.kube.get(DATABASES, { namespace: op.namespace, name: 'oltp' })
    if (!database) throw new Error('there is no Database')
    await op.applyDatabase({ name: 'oltp', spec: { ...database.spec, mode: 'Plan' } })
    await untilCondition(op, DATABASES, 'oltp', { condition: READY })
    await op.applyFiles('tables', { ...FIRST, ...SECOND })
    await until('the plan to hold the second file', async () => {
      const tenant = await op.kube.get(TENANTS, { namespace: op.namespace, name: 'globex' })
      expect(tenant?.status?.plan?.held).toBe(1)
    })
    const before = await written()
    const { code, out } = await command('migrations', '--database', ref, '--sql')
    expect(code).toBe(1)
    expect(out).toMatch(/^TENANT .*PENDING\ntest-\w+\/acme +s0 +1 +2 +0002_orders\.sql\n/)
    expect(out).toContain(SECOND['0002_orders.sql'])
    expect(out).toContain('2 schemas, 2 with files pending\n  at 1: 2\n')
    const one = await command('migrations', '--database', ref, '--tenant', `${op.namespace}/acme`, '-o', 'json')
    expect(JSON.parse(one.out)).toMatchObject({ pending: 1, members: [{ files: [{ name: '0002_orders.sql' }] }] })
    expect(await written()).toEqual(before)
  })

  test('say what does not exist, with exit code 2', async () => {
    expect(await command('migrations', '--database', `${op.namespace}/none`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no Database'),
    })
    expect(await command('schema', '--database', ref, '--tenant', `${op.namespace}/none`)).toMatchObject({ code: 2 })
  })
})

/** Rows that were ever written in the tier's database, as far as the server has counted. */
async function written(): Promise<unknown> {
  return await byHand(
    admin,
    'SELECT pg_stat_clear_snapshot()',
    'SELECT tup_inserted, tup_updated, tup_deleted FROM pg_stat_database WHERE datname = current_database()',
  )
}

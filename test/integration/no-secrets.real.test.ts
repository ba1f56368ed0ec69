import { createHash } from 'node:crypto'
import type { Connection } from '@tenantry/engines/model.ts'
import {
  CONFIG_MAPS,
  EVENTS,
  type KubeObject,
  LEASES,
  type ResourceType,
  SECRETS,
  type Secret,
} from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { beforeAll, expect, test } from 'vitest'
import { startTestOperator, type TestOperator, until, untilCondition } from '../support/operator.ts'
import { makePlatform, type Platform, place, postgresAs, READY, redisAs, shard, tables } from '../support/platform.ts'
import { freshPostgres, useStack } from '../support/stack.ts'
import { annotate, getTenant, madeSecrets, removeTenant, resyncs, untilGone } from '../support/watching.ts'

const WRONG = 'canary-of-a-wrong-administrator'
const IN_URI = 'canary-within-a-connection-uri'
const BY_HAND = 'canary-set-by-hand-in-the-engine'

let op: TestOperator
let platform: Platform

/** What must be nowhere but in Secrets: each value with a name that a failing test may print. */
const canaries = new Map<string, string>()
/** Everything that anybody but a reader of Secrets may see, by where it was seen. */
const seen: { readonly where: string; readonly text: string }[] = []

beforeAll(async () => {
  op = await startTestOperator({ TENANTRY_CONNECT_TIMEOUT_MS: '2000' })
  platform = await makePlatform(op)
  for (const [engine, { password }] of Object.entries({ ...useStack(), kubeconfig: {} as Connection })) {
    // A short one could stand anywhere by chance.
    if (password !== undefined && password.length >= 12)
      canaries.set(password, `the administrator's password of ${engine}`)
  }
  for (const value of [WRONG, IN_URI, BY_HAND]) canaries.set(value, value)
})

const spec = (extra: { suspended?: boolean } = {}) => ({
  deletionPolicy: 'Delete' as const,
  ...extra,
  databases: ['oltp', 'cache', 'analytics'].map((name) => ({
    name,
    databaseRef: { name },
    access: ['ReadWrite', 'ReadOnly'] as const,
    secretTemplate: { DATABASE_URL: '$(uri)', DSN: 'user=$(username) password=$(password)' },
  })),
})

test('no credential is seen anywhere but in Secrets, whatever happens to tenants and servers', async () => {
  await op.applyTenant({ name: 'alice', spec: spec() })
  await op.applyTenant({ name: 'bert', spec: spec() })
  for (const name of ['alice', 'bert']) await untilCondition(op, TENANTS, name, { condition: READY })
  await look('creation')

  await damageByHand()
  for (const name of ['alice', 'bert']) await untilCondition(op, TENANTS, name, { condition: READY })
  await look('repair of drift')

  await annotate(op, DATABASES, 'oltp', { paused: 'true' })
  const { login = '' } = place(await getTenant(op, 'alice'), 'oltp')
  const admin = await postgresAs(platform.postgres)
  await admin.query(`alter role "${login}" password '${BY_HAND}'`)
  await untilCondition(op, TENANTS, 'alice', { condition: { type: 'Held', status: 'True' } })
  await look('a plan that is held')
  await annotate(op, DATABASES, 'oltp', { paused: null })
  await untilCondition(op, TENANTS, 'alice', { condition: READY })

  await fail()
  await look('failures')

  await op.applyTenant({ name: 'alice', spec: spec({ suspended: true }) })
  await untilCondition(op, TENANTS, 'alice', { condition: { type: 'Suspended', status: 'True' } })
  await look('suspension')
  await expectSecretsOnly()

  for (const name of ['alice', 'bert']) await removeTenant(op, name)
  for (const name of ['alice', 'bert']) await untilGone(op, name)
  await look('deletion')
  await op.operator().stop()
  await look('the end')

  expect(canaries.size).toBeGreaterThan(40)
  const places = seen.filter(({ text }) => text.length > 0).map(({ where }) => where.split(' after ')[0])
  expect(new Set(places)).toEqual(
    new Set([
      'log',
      'metrics',
      'events',
      'tenants',
      'databases',
      'configmaps',
      'leases',
      'Postgres comments',
      'Redis registry',
      'Postgres statements',
    ]),
  )
  expect(leaks()).toEqual([])
})

/** Every credential is lost or changed by hand once, so that there are new ones. */
async function damageByHand(): Promise<void> {
  const alice = await getTenant(op, 'alice')
  const admin = await postgresAs(platform.postgres)
  const redis = await redisAs(useStack().redis)
  await admin.query(`alter role "${place(alice, 'oltp').login}" password '${BY_HAND}'`)
  await redis.call('ACL', 'SETUSER', place(alice, 'cache').login ?? '', 'resetpass', `>${BY_HAND}`)
  await resyncs(op, 2)
  await (await postgresAs(await op.secret('alice-oltp'))).query('select 1')
  await (await redisAs(await op.secret('alice-cache'))).ping()
  for (const name of ['bert-oltp', 'bert-cache', 'bert-analytics-ro']) {
    const before = (await op.secret(name)).password
    await op.kube.remove(SECRETS, { namespace: op.namespace, name })
    await until(`Secret ${name} to be made again`, async () => {
      const { password } = await op.secret(name)
      expect([undefined, before].includes(password), 'no new password').toBe(false)
    })
  }
}

/** Wrong passwords, connection URIs, SQL and templates: whatever makes the operator explain itself. */
async function fail(): Promise<void> {
  const postgres = await freshPostgres()
  const { redis } = useStack()
  const bad: Readonly<Record<string, readonly ['PostgreSQL' | 'Redis', Readonly<Record<string, string>>, string]>> = {
    'wrong-sql': ['PostgreSQL', text({ ...postgres, password: WRONG }), 'AuthenticationFailed'],
    'wrong-cache': ['Redis', text({ ...redis, username: 'nobody', password: WRONG }), 'AuthenticationFailed'],
    'wrong-uri': [
      'PostgreSQL',
      { uri: `postgres://postgres:${IN_URI}@${postgres.host}:${postgres.port}/${postgres.database}` },
      'AuthenticationFailed',
    ],
    'unreadable-uri': ['PostgreSQL', { uri: `postgres://postgres:${IN_URI}@[broken:5432/x` }, 'SecretInvalid'],
    'dead-uri': ['Redis', { uri: `redis://someone:${IN_URI}@127.0.0.1:1` }, 'Unreachable'],
  }
  for (const [name, [engine, stringData, reason]] of Object.entries(bad)) {
    await op.kube.apply(SECRETS, { metadata: { namespace: op.namespace, name }, stringData } as Secret, { force: true })
    const isolation = engine === 'Redis' ? 'Prefix' : 'Schema'
    await op.applyDatabase({ name, spec: { engine, isolation, ...shard(name) } })
    await op.applyTenant({ name: `on-${name}`, spec: { databases: [{ name, databaseRef: { name } }] } })
    await untilCondition(op, DATABASES, name, { condition: { type: 'Ready', status: 'False', reason } })
    await untilCondition(op, TENANTS, `on-${name}`, { condition: { type: 'Ready', status: 'False' } })
  }
  await op.applySecret('bad-file', await freshPostgres())
  await op.applyFiles('bad-file', { '1_bad.sql': 'create table a (x int);\nselect 1/0;' })
  const engine = { engine: 'PostgreSQL', isolation: 'Schema' } as const
  await op.applyDatabase({ name: 'bad-file', spec: { ...engine, ...shard('bad-file'), ...tables('bad-file') } })
  await op.applyTenant({
    name: 'bad-file',
    spec: { databases: [{ name: 'bad-file', databaseRef: { name: 'bad-file' } }] },
  })
  await untilCondition(op, TENANTS, 'bad-file', {
    condition: { type: 'Ready', status: 'False', reason: 'MigrationFailed' },
  })
  const template = { URL: 'x://$(password)@$(nothing)' }
  await op.applyTenant({
    name: 'bad-template',
    spec: { databases: [{ name: 'cache', databaseRef: { name: 'cache' }, secretTemplate: template }] },
  })
  await untilCondition(op, TENANTS, 'bad-template', {
    condition: { type: 'Ready', status: 'False', reason: 'InvalidSpec' },
  })
}

function text(connection: Connection): Readonly<Record<string, string>> {
  const { host, port, username = '', password = '', database = '' } = connection
  return { host, port: String(port), username, password, ...(database && { database }) }
}

/** Notes all credentials that there are now, and all that can be read now without a right to read Secrets. */
async function look(after: string): Promise<void> {
  await noteCredentials()
  const note = (where: string, text: string): void => void seen.push({ where: `${where} after ${after}`, text })
  note('log', op.logged())
  note('metrics', await op.metrics.registry.metrics())
  for (const type of [EVENTS, TENANTS, DATABASES, CONFIG_MAPS, LEASES] as readonly ResourceType[]) {
    const { items } = await op.kube.list(type, { namespace: op.namespace })
    note(type.plural, items.map((item: KubeObject) => JSON.stringify(item)).join('\n'))
  }
  const admin = await postgresAs(platform.postgres)
  const { rows: comments } = await admin.query(
    'select description from pg_description union all select description from pg_shdescription',
  )
  note('Postgres comments', JSON.stringify(comments))
  await admin.query('create extension if not exists pg_stat_statements schema public')
  const { rows: statements } = await admin.query('select query from public.pg_stat_statements')
  note('Postgres statements', JSON.stringify(statements.filter(({ query }) => !query.includes(BY_HAND))))
  note('Redis registry', JSON.stringify(await (await redisAs(useStack().redis)).hgetall('tenantry:registry')))
}

/** Passwords in every form in which they are kept or sent. */
async function noteCredentials(): Promise<void> {
  for (const name of await madeSecrets(op)) {
    const secret = await op.secret(name)
    // It may have gone with its tenant since it was listed.
    if (Object.keys(secret).length === 0) continue
    const { password = '', uri = '', DSN = '' } = secret
    expect(password.length).toBeGreaterThan(20)
    const forms = {
      password,
      uri,
      DSN,
      'password in base64': Buffer.from(password).toString('base64'),
      'hash that Redis keeps': createHash('sha256').update(password).digest('hex'),
    }
    for (const [form, value] of Object.entries(forms)) if (value) canaries.set(value, `${form} of ${name}`)
  }
  const admin = await postgresAs(platform.postgres)
  const { rows } = await admin.query<{ name: string; verifier: string }>(
    `select rolname as name, rolpassword as verifier from pg_authid where rolpassword is not null and rolname like 't\\_%'`,
  )
  for (const { name, verifier } of rows) canaries.set(verifier, `verifier of ${name}`)
}

/** Which canary is seen where; never what it is. */
function leaks(): readonly string[] {
  return seen.flatMap(({ where, text }) =>
    [...canaries].flatMap(([value, name]) => (text.includes(value) ? [`${name} is in ${where}`] : [])),
  )
}

/** Each password stands in the one Secret that is its own. */
async function expectSecretsOnly(): Promise<void> {
  const { items } = await op.kube.list(SECRETS, { namespace: op.namespace })
  const made = await madeSecrets(op)
  for (const name of made) {
    const { password = '' } = await op.secret(name)
    const holders = items.filter(({ data = {} }) =>
      Object.values(data).some((value) => Buffer.from(value, 'base64').toString().includes(password)),
    )
    expect(holders.map(({ metadata }) => metadata.name)).toEqual([name])
  }
  expect(made.length).toBeGreaterThanOrEqual(12)
}

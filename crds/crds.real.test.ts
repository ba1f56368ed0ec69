import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  ApiextensionsV1Api,
  CustomObjectsApi,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { ensureAssets } from '../hack/assets/assets.ts'
import { freshNamespace, freshSuffix, useStack } from '../test/support/stack.ts'
import { FIELD_MANAGER } from './annotations.ts'
import { API_VERSION, GROUP, VERSION } from './common.ts'
import { customResourceDefinition } from './crd.ts'
import {
  BAD_VALUES,
  database,
  entry,
  ISOLATION_CASES,
  type Manifest,
  messagesIn,
  named,
  RULE_CASES,
  shards,
  tenant,
  type Writable,
} from './crds.cases.ts'
import type { Database } from './database.ts'
import { KINDS } from './kinds.ts'
import type { Tenant, TenantStatus } from './tenant.ts'

const run = promisify(execFile)
const serverSide = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply)
const config = new KubeConfig()
let namespace = ''
let kubectlPath = ''
let custom: CustomObjectsApi

async function kubectl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(kubectlPath, ['--kubeconfig', useStack().kubeconfig, '-n', namespace, ...args])
  return stdout
}

function place({ kind, metadata: { name } }: Writable) {
  const plural = kind === 'Tenant' ? 'tenants' : 'databases'
  return { group: GROUP, version: VERSION, namespace, plural, name }
}

/** Server-side apply; the object as the API server stored it. */
async function apply(body: Writable, more: { dryRun?: string; fieldManager?: string } = {}): Promise<unknown> {
  return custom.patchNamespacedCustomObject({ ...place(body), body, fieldManager: 'a-person', ...more }, serverSide)
}

beforeAll(async () => {
  config.loadFromFile(useStack().kubeconfig)
  custom = config.makeApiClient(CustomObjectsApi)
  kubectlPath = (await ensureAssets({ log: () => undefined })).kubectl
  const crds = config.makeApiClient(ApiextensionsV1Api)
  for (const kind of KINDS) {
    const name = `${kind.plural}.${GROUP}`
    const body = customResourceDefinition(kind)
    await crds.patchCustomResourceDefinition({ name, body, fieldManager: FIELD_MANAGER, force: true }, serverSide)
    const settled = async () =>
      expect(conditionsOf((await crds.readCustomResourceDefinition({ name })).status)).toContain('Established=True')
    await vi.waitFor(settled, { timeout: 30_000 })
  }
  namespace = await freshNamespace('crds')
})

function conditionsOf(status: { conditions?: { type: string; status: string }[] } | undefined): readonly string[] {
  return (status?.conditions ?? []).map((condition) => `${condition.type}=${condition.status}`)
}

describe('the API server', () => {
  test.each(KINDS)('finds the schema of $kind structural and its names free', async ({ plural }) => {
    const crds = config.makeApiClient(ApiextensionsV1Api)
    const { status } = await crds.readCustomResourceDefinition({ name: `${plural}.${GROUP}` })
    const found = conditionsOf(status)
    expect(found).toEqual(expect.arrayContaining(['Established=True', 'NamesAccepted=True']))
    expect(found.filter((condition) => condition.startsWith('NonStructuralSchema'))).toEqual([])
  })

  test('explains every field in kubectl, under the short names too', async () => {
    const explain = (path: string) => kubectl('explain', path)
    await expect.poll(() => explain('tn.spec.databases').catch(String), { timeout: 30_000 }).toMatch(/has a place/)
    expect(await explain('tdb.spec')).toMatch(/isolation\s.*-required-\n(.*\n){0,3}.*How tenants are kept apart/)
    for (const { plural } of KINDS)
      expect(await kubectl('explain', '--recursive', plural), plural).not.toMatch(/<no description>|<empty>/)
  })

  test('fills in the defaults, also below objects that were left out', async () => {
    expect(((await apply(database({}, 'defaults'))) as Database).spec).toEqual({
      ...database().spec,
      purpose: 'Custom',
      replicas: 1,
      shards: [{ name: 's0', connectionSecretRef: { name: 's0' }, cordoned: false }],
      allowedTenants: { namespaces: { from: 'Same' } },
      deletionPolicy: 'Retain',
      interval: '5m',
      mode: 'Enforce',
      approval: 'Automatic',
    })
    const open = { ...database({}, 'defaults-below'), spec: { ...database().spec, allowedTenants: {} } }
    expect(((await apply(open)) as Database).spec.allowedTenants).toEqual({ namespaces: { from: 'Same' } })
    expect(((await apply(tenant({}, 'defaults'))) as Tenant).spec).toEqual({
      databases: [{ name: 'main', databaseRef: { name: 'db-main' }, access: ['ReadWrite'] }],
      suspended: false,
      deletionPolicy: 'Retain',
    })
  })

  test('agrees with zod about the defaults', async () => {
    for (const manifest of [database({}, 'zod'), tenant({ databases: [entry('a'), entry('b')] }, 'zod')]) {
      const stored = (await apply(manifest)) as { spec: unknown }
      const kind = KINDS.find((candidate) => candidate.kind === manifest.kind)
      expect(kind?.spec.parse(manifest.spec)).toEqual(stored.spec)
    }
  })

  test('prunes fields that nobody defined', async () => {
    const stray = { ...tenant({}, 'stray'), spec: { ...tenant().spec, provision: { manifests: [] } } }
    const stored = (await custom.createNamespacedCustomObject({ ...place(stray), body: stray })) as Tenant
    expect(stored.spec).toMatchObject({ suspended: false })
    expect(stored.spec).not.toHaveProperty('provision')
    await expect(apply(stray)).rejects.toThrow(/provision: field not declared in schema/)
  })

  test('takes a name of 253 characters', async () => {
    const name = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`
    expect(name).toHaveLength(253)
    expect(((await apply(tenant({}, name))) as Tenant).metadata.name).toBe(name)
  })

  test('merges entries of different managers by name', async () => {
    await apply(tenant({ databases: [entry('main'), entry('cache')] }, 'shared'))
    const theirs = { ...tenant({ databases: [entry('olap')] }, 'shared') }
    const pin = { ...theirs, spec: { databases: [{ name: 'main', databaseRef: { name: 'db-main' }, shard: 's7' }] } }
    await apply(theirs, { fieldManager: 'another-person' })
    const merged = (await apply(pin, { fieldManager: 'a-third' })) as Tenant
    expect(merged.spec.databases.map(({ name, shard }) => [name, shard])).toEqual([
      ['main', 's7'],
      ['cache', undefined],
      ['olap', undefined],
    ])
  })
})

describe('the rules', () => {
  test('of the generated files are all in the table', async () => {
    const files = await Promise.all(
      KINDS.map(({ plural }) => readFile(join(import.meta.dirname, `generated/${GROUP}_${plural}.yaml`), 'utf8')),
    )
    const messages = files.flatMap((text) => messagesIn(parse(text)))
    expect(messages.toSorted()).toEqual(RULE_CASES.map(({ message }) => message).toSorted())
  })

  test.each(RULE_CASES)('accept what fits and reject what does not: $message', async (example) => {
    const name = `rule-${freshSuffix()}`
    if (example.before) await apply(named(example.before, name))
    await expect(apply(named(example.accepted, name), { dryRun: 'All' })).resolves.toBeTruthy()
    const rejection = await apply(named(example.rejected, name), { dryRun: 'All' }).catch((error: unknown) => error)
    expect(rejection).toMatchObject({ code: 422 })
    expect(String((rejection as { body?: unknown }).body)).toContain(example.message)
  })

  test.each(ISOLATION_CASES)(
    'know which isolation is of which engine: $spec.engine $spec.isolation',
    async (manifest, fits) => {
      const outcome = apply(named(manifest, `pair-${freshSuffix()}`), { dryRun: 'All' })
      await (fits ? expect(outcome).resolves.toBeTruthy() : expect(outcome).rejects.toMatchObject({ code: 422 }))
    },
  )

  test('let every field be as full as it may be within the cost of one request', async () => {
    const long = (i: number) => `${String(i).padStart(3, '0')}${'x'.repeat(60)}`
    const full = tenant(
      {
        databases: Array.from({ length: 32 }, (_, i) =>
          entry(long(i), {
            databaseRef: {
              name: `${long(i)}.${'y'.repeat(63)}.${'y'.repeat(63)}.${'y'.repeat(61)}`,
              namespace: long(0),
            },
            secretName: `${'z'.repeat(63)}.${'z'.repeat(63)}.${long(i)}`,
            secretTemplate: Object.fromEntries(Array.from({ length: 32 }, (_, k) => [`KEY_${long(k)}`, '$(uri)'])),
          }),
        ),
      },
      'full',
    )
    await apply(full)
    await expect(apply(full)).resolves.toBeTruthy()
    const names = Array.from({ length: 64 }, (_, i) => long(i))
    await expect(apply(database({ shards: shards(...names), replicas: 64 }, 'full'))).resolves.toBeTruthy()
  })
})

describe('values', () => {
  test.each(BAD_VALUES)('such as %s are rejected', async (_, manifest) => {
    const body = { ...manifest, metadata: { name: `bad-${freshSuffix()}` } }
    const outcome = custom.createNamespacedCustomObject({ ...place(body), body, dryRun: 'All' })
    await expect(outcome).rejects.toMatchObject({ code: 422 })
  })
})

describe('status', () => {
  const write = async (manifest: Manifest, status: object): Promise<unknown> => {
    const { kind, metadata } = manifest
    const body = { apiVersion: API_VERSION, kind, metadata: { name: metadata.name }, status }
    return custom.patchNamespacedCustomObjectStatus(
      { ...place(manifest), body, fieldManager: FIELD_MANAGER, force: true },
      serverSide,
    )
  }

  test('may be empty, and holds what the operator finds', async () => {
    const subject = tenant({}, 'status')
    await apply(subject)
    await expect(write(subject, {})).resolves.toBeTruthy()
    const status: TenantStatus = {
      observedGeneration: 1,
      tenantId: 't_status_01234567',
      databasesReady: '0/1',
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'Conflict',
          message: 'Somebody else owns it.',
          lastTransitionTime: '2026-01-02T03:04:05Z',
          observedGeneration: 1,
        },
      ],
      databases: [
        { name: 'main', databaseRef: { name: 'oltp', namespace: 'platform' }, keyPrefix: '{t_x}:', ready: false },
      ],
      plan: {
        hash: 'abc',
        held: 1,
        total: 1,
        changes: [{ op: 'adopt', risk: 'safe', summary: 'adopt schema x', held: 'Conflict' }],
      },
    }
    expect(((await write(subject, status)) as Tenant).status).toEqual(status)
    const table = await kubectl('get', 'tn', 'status', '-o', 'wide')
    expect(table).toMatch(/READY\s+REASON\s+DATABASES\s+PLAN\s+AGE\s+TENANT ID\s+MESSAGE/)
    expect(table).toMatch(/False\s+Conflict\s+0\/1\s.*t_status_01234567\s+Somebody else owns it/)
  })

  test('is out of reach for those who write the spec', async () => {
    const forged = { ...tenant({}, 'forged'), status: { tenantId: 't_other' } }
    expect(await apply(forged)).not.toHaveProperty('status')
  })

  test('of a Database answers the scale subresource, and scaling beyond the shards is rejected', async () => {
    const subject = database({ shards: shards('s0', 's1') }, 'scaled')
    await apply(subject)
    await write(subject, {
      replicas: 1,
      tenants: 7,
      selector: 'tenantry.dev/database=scaled',
      shards: [{ name: 's0', state: 'Active' }],
    })
    await kubectl('scale', 'tdb', 'scaled', '--replicas=2')
    const scale = await kubectl('get', '--raw', `/apis/${API_VERSION}/namespaces/${namespace}/databases/scaled/scale`)
    expect(JSON.parse(scale)).toMatchObject({
      spec: { replicas: 2 },
      status: { replicas: 1, selector: 'tenantry.dev/database=scaled' },
    })
    await expect(kubectl('scale', 'tdb', 'scaled', '--replicas=3')).rejects.toThrow(/add shards first/)
    expect(await kubectl('get', 'tenantry')).toMatch(/database\.tenantry\.dev\/scaled\s+PostgreSQL\s+Schema/)
  })
})

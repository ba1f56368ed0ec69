import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { useStack } from '../../test/support/stack.ts'
import { ensureAssets } from '../assets/assets.ts'
import { type Kubectl, kubectlFor } from './kubectl.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const quickstart = join(root, 'examples/quickstart')
const cache = mkdtempSync(join(tmpdir(), 'tenantry-kubectl-'))
const APPLY = ['apply', '--server-side', '--force-conflicts']
let kubectl: Kubectl

beforeAll(async () => {
  const assets = await ensureAssets({ log: () => undefined })
  kubectl = kubectlFor(assets.kubectl, useStack().kubeconfig, cache)
  await kubectl([...APPLY, '-f', join(root, 'crds/generated')])
  await kubectl(['wait', '--for=condition=Established', 'crd/tenants.tenantry.dev', 'crd/databases.tenantry.dev'])
  await kubectl([...APPLY, '-f', join(quickstart, 'namespaces.yaml')])
})

afterAll(async () => {
  await kubectl(['delete', '--wait=false', '-f', join(quickstart, 'namespaces.yaml')])
  rmSync(cache, { recursive: true, force: true })
})

test('the API server takes every file of the quickstart as it is', async () => {
  // Not stored: operators of other tests on the same control plane would begin to work on them.
  const applied = await kubectl([...APPLY, '--dry-run=server', '-k', quickstart, '-o', 'name'])
  expect(applied.trim().split('\n').toSorted()).toEqual([
    'configmap/analytics-schema',
    'configmap/billing-schema',
    'configmap/oltp-schema',
    ...['analytics', 'billing', 'cache', 'oltp'].map((name) => `database.tenantry.dev/${name}`),
    'namespace/platform',
    'namespace/shop',
    ...['acme', 'globex', 'initech'].map((name) => `tenant.tenantry.dev/${name}`),
  ])
  await kubectl([...APPLY, '--dry-run=server', '-f', join(quickstart, 'tiers/connection.sample.yaml')])
})

test('says what kubectl complained about', async () => {
  const outcome = kubectl(['get', 'nothing'])
  await expect(outcome).rejects.toThrow(/kubectl get nothing: .*the server doesn't have a resource type/)
})

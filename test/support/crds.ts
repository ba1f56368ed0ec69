/** The custom resources in a cluster, as this checkout has them. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { KubeClient } from '@tenantry/operator/kube/client.ts'
import type { KubeObject, ResourceType } from '@tenantry/operator/kube/types.ts'
import { parseAllDocuments } from 'yaml'

export interface Crd extends KubeObject {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: object } }[] }
}

export const CRDS: ResourceType<Crd> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
}

const FOLDER = resolve(import.meta.dirname, '../../crds/generated')
const FILES = ['tenantry.dev_tenants.yaml', 'tenantry.dev_databases.yaml']

/** They are served a moment later. Several may do this at once: applying the same text twice does no harm. */
export async function applyCrds(kube: KubeClient): Promise<void> {
  for (const file of FILES) {
    for (const document of parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8'))) {
      await kube.apply(CRDS, document.toJS() as Crd, { force: true })
    }
  }
}

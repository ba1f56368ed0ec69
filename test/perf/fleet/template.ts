import { FINALIZER } from '@tenantry/crds/annotations.ts'
import type { Tenant } from '@tenantry/crds/tenant.ts'
import type { Secret } from '@tenantry/operator/kube/types.ts'

/** A tenant that the operator made, with its Secrets by the name of the entry: what all others with its placement look like. */
export interface Sample {
  readonly tenant: Tenant
  readonly secrets: ReadonlyMap<string, Secret>
}

/** Texts of the sample and what stands in their place. Later pairs do not see what earlier ones wrote. */
export type Renames = readonly (readonly [from: string, to: string])[]

/** The Tenant as the operator would have left it, but for uid and status, which come after. */
export function tenantLike({ tenant }: Sample, renames: Renames, labels: Readonly<Record<string, string>>): object {
  const { namespace, annotations = {} } = tenant.metadata
  const name = rename(tenant.metadata.name, renames)
  const metadata = { namespace, name, labels, annotations, finalizers: [FINALIZER] }
  const databases = tenant.spec.databases
  return { apiVersion: tenant.apiVersion, kind: 'Tenant', metadata, spec: { ...tenant.spec, databases } }
}

export function statusLike({ tenant }: Sample, renames: Renames): unknown {
  return JSON.parse(rename(JSON.stringify(tenant.status), renames))
}

/** `owner`: the uid of the new Tenant. */
export function secretLike(secret: Secret, renames: Renames, owner: string): object {
  const { namespace, name, labels, ownerReferences = [] } = secret.metadata
  const references = ownerReferences.map((one) => ({ ...one, name: rename(one.name, renames), uid: owner }))
  const data = Object.entries(secret.data ?? {}).map(([key, value]): [string, string] => {
    const text = rename(Buffer.from(value, 'base64').toString(), renames)
    return [key, Buffer.from(text).toString('base64')]
  })
  const metadata = { namespace, name: rename(name, renames), labels, ownerReferences: references }
  return { apiVersion: 'v1', kind: 'Secret', metadata, type: secret.type, data: Object.fromEntries(data) }
}

const SPECIAL = /[\\^$.*+?()[\]{}|]/g

/** In one pass, so that a new text that contains an old one stays as it is; of two that match, the longer. */
export function rename(text: string, renames: Renames): string {
  const to = new Map(renames)
  const longestFirst = [...to.keys()].toSorted((a, b) => b.length - a.length)
  if (longestFirst.length === 0) return text
  const pattern = new RegExp(longestFirst.map((from) => from.replaceAll(SPECIAL, '\\$&')).join('|'), 'g')
  return text.replaceAll(pattern, (found) => to.get(found) ?? found)
}

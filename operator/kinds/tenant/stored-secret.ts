import { hash } from 'node:crypto'
import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { type KubeObject, type ResourceType, SECRETS, type Secret } from '../../kube/types.ts'

/**
 * A Tenant's Secret as it is kept in memory. Of what it holds only the password and a digest: there is one for each login of ten
 * thousand tenants, and all that is asked of the rest is whether it is as it should be.
 */
export interface StoredSecret extends KubeObject {
  readonly password?: string
  /** See `digestOf`. */
  readonly digest: string
}

/** Secrets, for an informer that keeps them with `keepSecret`. */
export const STORED_SECRETS = SECRETS as unknown as ResourceType<StoredSecret>

/** For the informer's `transform`: takes what the API server sends. */
export function keepSecret(object: StoredSecret | Secret): StoredSecret {
  if ('digest' in object) return object
  const { namespace, name, uid, resourceVersion, finalizers, deletionTimestamp, ownerReferences } = object.metadata
  const password = passwordIn(object)
  return {
    metadata: {
      ...{ name, uid, resourceVersion, ownerReferences },
      ...(namespace !== undefined && { namespace }),
      ...(finalizers && { finalizers }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
    } as KubeObject['metadata'],
    digest: digestOf(object),
    ...(password !== undefined && { password }),
  }
}

/** Covers all that we write into a Secret: equal digests need no write. */
export function digestOf({ data = {}, metadata: { labels, ownerReferences = [] } }: Secret): string {
  const values = Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify([values, labels?.[LABEL_MANAGED], ownerReferences.map(({ uid }) => uid)])
  return hash('sha256', text, 'base64url')
}

/** Undefined where there is none. */
export function passwordIn(secret: Secret): string | undefined {
  const encoded = secret.data?.password
  return encoded ? Buffer.from(encoded, 'base64').toString('utf8') : undefined
}

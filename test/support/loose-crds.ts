/** CRDs that let everything through, as an older or a newer version of them might: for files that have the stack to themselves. */
import type { KubeClient } from '@tenantry/operator/kube/client.ts'
import type { KubeObject, ResourceType } from '@tenantry/operator/kube/types.ts'
import { DATABASES, TENANTS } from '@tenantry/operator/operator.ts'
import { CRDS } from './crds.ts'
import { until } from './operator.ts'
import { freshSuffix } from './stack.ts'

const ANYTHING = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** Resolves once the API server takes anything; what is returned puts the schemas back and resolves once they are in force. */
export async function loosenCrds(kube: KubeClient, namespace: string): Promise<() => Promise<void>> {
  const before = await Promise.all([TENANTS, DATABASES].map((type) => schemaOf(kube, type)))
  const set = async (schemas: readonly object[], accepted: boolean): Promise<void> => {
    for (const [i, type] of [TENANTS, DATABASES].entries()) await setSchema(kube, type, schemas[i] ?? ANYTHING)
    for (const type of [TENANTS, DATABASES]) {
      await until(`${type.plural} to be ${accepted ? 'loose' : 'strict'}`, async () => {
        if ((await accepts(kube, type, namespace)) !== accepted) throw new Error('not yet')
      })
    }
  }
  await set([ANYTHING, ANYTHING], true)
  return () => set(before, false)
}

function crdName(type: ResourceType): string {
  return `${type.plural}.${type.group}`
}

async function schemaOf(kube: KubeClient, type: ResourceType): Promise<object> {
  const crd = await kube.get(CRDS, { name: crdName(type) })
  return crd?.spec.versions[0]?.schema.openAPIV3Schema ?? ANYTHING
}

async function setSchema(kube: KubeClient, type: ResourceType, schema: object): Promise<void> {
  const patch = [{ op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema', value: schema }]
  await kube.patch(CRDS, { name: crdName(type) }, patch, { type: 'json' })
}

/** Several times in a row: another handler of the API server may still have the schema of before. */
async function accepts(kube: KubeClient, type: ResourceType, namespace: string): Promise<boolean> {
  const answers: boolean[] = []
  for (let i = 0; i < 3; i++) {
    const name = `probe-${freshSuffix()}`
    const made = await kube.create(type, { metadata: { namespace, name }, spec: {} } as KubeObject).then(
      () => true,
      () => false,
    )
    if (made) await kube.remove(type, { namespace, name })
    answers.push(made)
  }
  return answers.every(Boolean)
}

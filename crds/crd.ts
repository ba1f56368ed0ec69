import { GROUP, VERSION } from './common.ts'
import type { KindDefinition } from './kind.ts'
import { type Structural, toStructural } from './structural.ts'

/** The schema of a whole object of the kind. Throws AppError `Internal` where zod says what a CRD cannot. */
export function kindSchema(kind: KindDefinition): Structural {
  return {
    description: kind.description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { description: `Always ${GROUP}/${VERSION}.`, type: 'string' },
      kind: { description: `Always ${kind.kind}.`, type: 'string' },
      metadata: { type: 'object' },
      spec: {
        ...toStructural(kind.spec, 'spec'),
        description: 'What is wanted. People write it, the operator never does.',
      },
      status: {
        description: 'What was found and done. The operator writes it, and can write it again from nothing.',
        ...toStructural(kind.status, 'status'),
      },
    },
  }
}

/** The CustomResourceDefinition of a kind, ready for server-side apply. */
export function customResourceDefinition(kind: KindDefinition): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${GROUP}`, labels: { 'app.kubernetes.io/part-of': 'tenantry' } },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: ['tenantry'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {}, ...(kind.scale && { scale: kind.scale }) },
          additionalPrinterColumns: kind.columns,
          schema: { openAPIV3Schema: kindSchema(kind) },
        },
      ],
    },
  }
}

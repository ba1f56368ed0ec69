import { describe, expect, it } from 'vitest'
import { expand, type Lookup, readField, resolveEnvironment } from './environment.ts'
import type { Container, Pod } from './types.ts'

const POD: Pod = {
  metadata: {
    name: 'web-0',
    namespace: 'shop',
    uid: 'u1',
    labels: { app: 'web', 'a/b': 'c' },
    annotations: { note: 'x' },
  },
  spec: { nodeName: 'n1', serviceAccountName: 'runner', containers: [] },
}
const HELD: Record<string, Record<string, string>> = {
  'secret/s': { p: 'secret value' },
  'configMap/c': { a: '1', b: '2' },
}
const lookup: Lookup = {
  secret: async (name) => buffers(HELD[`secret/${name}`]),
  configMap: async (name) => buffers(HELD[`configMap/${name}`]),
}

describe('expand', () => {
  it.each([
    ['plain', 'plain'],
    ['$(A) and $(B)', '1 and 2'],
    ['$(UNKNOWN)', '$(UNKNOWN)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['cost: 5$', 'cost: 5$'],
    ['$A $ {A} $()', '$A $ {A} $()'],
    ['$(toString)', '$(toString)'],
  ])('turns %j into %j', (text, expected) => {
    expect(expand(text, { A: '1', B: '2' })).toBe(expected)
  })
})

describe('resolveEnvironment', () => {
  it('lets later sources win and refer to earlier ones', async () => {
    const found = await resolve({
      envFrom: [{ configMapRef: { name: 'c' } }, { prefix: 'S_', secretRef: { name: 's' } }],
      env: [
        { name: 'b', value: 'own' },
        { name: 'joined', value: '$(a)-$(b)-$(S_p)-$(base)' },
      ],
    })
    expect(found).toEqual({ base: '0', a: '1', b: 'own', S_p: 'secret value', joined: '1-own-secret value-0' })
  })

  it('does not expand what comes from a Secret', async () => {
    HELD['secret/dollar'] = { p: '$(base)' }
    const env = [{ name: 'P', valueFrom: { secretKeyRef: { name: 'dollar', key: 'p' } } }]
    expect(await resolve({ env })).toMatchObject({ P: '$(base)' })
  })

  it('leaves out what is optional and missing', async () => {
    const found = await resolve({
      envFrom: [{ secretRef: { name: 'none', optional: true } }],
      env: [
        { name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'none', optional: true } } },
        { name: 'B', valueFrom: { configMapKeyRef: { name: 'none', key: 'x', optional: true } } },
      ],
    })
    expect(found).toEqual({ base: '0' })
  })

  it.each<[string, Partial<Container>]>([
    ['secret "none" not found', { envFrom: [{ secretRef: { name: 'none' } }] }],
    [
      'configmap "none" not found',
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'k' } } }] },
    ],
    [
      'couldn\'t find key k in secret "s"',
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] },
    ],
    ['env A: this node supports', { env: [{ name: 'A', valueFrom: {} }] }],
    [
      'field spec.hostname is not supported',
      { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.hostname' } } }] },
    ],
  ])('says %s', async (message, container) => {
    await expect(resolve(container)).rejects.toThrow(message)
  })
})

describe('readField', () => {
  it.each([
    ['metadata.name', 'web-0'],
    ['metadata.namespace', 'shop'],
    ['metadata.uid', 'u1'],
    ["metadata.labels['a/b']", 'c'],
    ["metadata.labels['none']", ''],
    ["metadata.annotations['note']", 'x'],
    ['metadata.labels', 'app="web"\na/b="c"'],
    ['spec.nodeName', 'n1'],
    ['spec.serviceAccountName', 'runner'],
    ['status.podIP', '127.64.0.1'],
    ['status.hostIP', '127.0.0.1'],
  ])('reads %s', (path, expected) => {
    expect(readField(POD, '127.64.0.1', path)).toBe(expected)
  })
})

function resolve(container: Partial<Container>) {
  const options = { pod: POD, address: '127.64.0.1', base: { base: '0' }, lookup }
  return resolveEnvironment({ name: 'c', ...container }, options)
}

function buffers(texts: Record<string, string> | undefined) {
  if (texts === undefined) return undefined
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text)]))
}

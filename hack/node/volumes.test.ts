import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Container, Pod, Volume } from './types.ts'
import { makeMounts, makeVolumes, mapPaths } from './volumes.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenantry-volumes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const MOUNTED: Container = {
  name: 'c',
  volumeMounts: [
    { name: 'config', mountPath: '/etc/app' },
    { name: 'data', mountPath: '/data/' },
  ],
}

describe('mapPaths', () => {
  it.each([
    ['/etc/app', '/R/etc/app'],
    ['/etc/app/a.yaml', '/R/etc/app/a.yaml'],
    ['--config=/etc/app/a.yaml,/data/b', '--config=/R/etc/app/a.yaml,/R/data/b'],
    ['cat /etc/app/a > /data/b', 'cat /R/etc/app/a > /R/data/b'],
    ['PATH=/bin:/data/bin', 'PATH=/bin:/R/data/bin'],
    ['/etc/apple', '/etc/apple'],
    ['/etc', '/etc'],
    ['http://host/etc/app', 'http://host/etc/app'],
    ['x/etc/app', 'x/etc/app'],
  ])('turns %j into %j', (text, expected) => {
    expect(mapPaths(text, '/R', MOUNTED)).toBe(expected)
  })
})

describe('makeVolumes', () => {
  it('writes Secrets, ConfigMaps, tokens and fields where projections say, for the owner alone', async () => {
    await make({
      name: 'all',
      projected: {
        sources: [
          { secret: { name: 's', items: [{ key: 'p', path: 'deep/er/password' }] } },
          { configMap: { name: 'c' } },
          { serviceAccountToken: { path: 'token', audience: 'api' } },
          { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
        ],
      },
    })
    expect(read('all/deep/er/password')).toBe('held of s')
    expect(read('all/p')).toBe('held of c')
    expect(read('all/token')).toBe('token for api')
    expect(read('all/name')).toBe('web')
    expect(statSync(join(folder, 'all/deep/er/password')).mode & 0o777).toBe(0o600)
  })

  it('takes the name of a Secret volume', async () => {
    await make({ name: 'v', secret: { secretName: 's' } })
    expect(read('v/p')).toBe('held of s')
  })

  it('keeps what a container wrote to an emptyDir', async () => {
    await make({ name: 'v', emptyDir: {} })
    writeFileSync(join(folder, 'v/file'), 'kept')
    await make({ name: 'v', emptyDir: {} })
    expect(read('v/file')).toBe('kept')
  })

  it('links to a path of the host', async () => {
    writeFileSync(join(folder, 'host-file'), 'of the host')
    await make({ name: 'v', hostPath: { path: folder } })
    expect(read('v/host-file')).toBe('of the host')
  })

  it.each<[string, Volume]>([
    ['secret "none" not found', { name: 'v', secret: { secretName: 'none' } }],
    [
      'couldn\'t find key q in configmap "c"',
      { name: 'v', configMap: { name: 'c', items: [{ key: 'q', path: 'q' }] } },
    ],
    ['volume v: this node supports emptyDir', { name: 'v' }],
    ['field (resourceFieldRef) is not supported', { name: 'v', downwardAPI: { items: [{ path: 'x' }] } }],
  ])('says %s', async (message, volume) => {
    await expect(make(volume)).rejects.toThrow(message)
  })

  it('leaves out what is optional and missing', async () => {
    await make({ name: 'v', secret: { secretName: 'none', optional: true } })
    expect(statSync(join(folder, 'v')).isDirectory()).toBe(true)
  })
})

describe('makeMounts', () => {
  it('shows volumes, whole and in part, under a root, and can be repeated', async () => {
    await make({ name: 'v', configMap: { name: 'c', items: [{ key: 'p', path: 'sub/p' }] } })
    const volumeMounts = [
      { name: 'v', mountPath: '/etc/app' },
      { name: 'v', mountPath: '/opt/p.txt', subPath: 'sub/p' },
    ]
    for (const _ of [1, 2]) await makeMounts(join(folder, 'root'), folder, { name: 'c', volumeMounts })
    expect(read('root/etc/app/sub/p')).toBe('held of c')
    expect(read('root/opt/p.txt')).toBe('held of c')
  })
})

function make(volume: Volume) {
  const held = async (name: string) => (name === 'none' ? undefined : { p: Buffer.from(`held of ${name}`) })
  const pod: Pod = { metadata: { name: 'web', namespace: 'shop' }, spec: { containers: [], volumes: [volume] } }
  const token = async ({ audience }: { audience?: string | undefined }) => `token for ${audience}`
  return makeVolumes(folder, { pod, address: '127.64.0.1', lookup: { secret: held, configMap: held }, token })
}

function read(path: string): string {
  return readFileSync(join(folder, path), 'utf8')
}

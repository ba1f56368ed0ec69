import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CONTROL_PLANE, HELM, type Program } from './programs.ts'

const ALL: [string, Program][] = Object.entries({ ...CONTROL_PLANE, helm: HELM })
const platform = `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`

describe('programs', () => {
  it.each(ALL)('%s is built from the version that is downloaded', (_key, { name, version, go }) => {
    const file = readFileSync(join(import.meta.dirname, 'go', go.folder, 'go.mod'), 'utf8')
    expect(file).toContain(go.package)
    const module = { kube: 'k8s.io/kubernetes', etcd: 'go.etcd.io/etcd/server/v3', helm: 'helm.sh/helm/v4' }[go.folder]
    expect(new RegExp(`^(require |\\t)${module} ${version}( // indirect)?$`, 'm').test(file), name).toBe(true)
  })

  it('stamps the staging modules with the version of Kubernetes', () => {
    const file = readFileSync(join(import.meta.dirname, 'go', 'kube', 'go.mod'), 'utf8')
    const staging = CONTROL_PLANE.kubectl.version.replace('v1.', 'v0.')
    const replaced = [...file.matchAll(/(\S+) => (\S+) (\S+)/g)]
    expect(replaced.length).toBeGreaterThan(25)
    for (const [, from, to, version] of replaced) expect([to, version]).toEqual([from, staging])
  })

  it('downloads from the publishers', () => {
    expect(CONTROL_PLANE.kubeApiserver.release({})).toEqual({
      origin: 'https://dl.k8s.io',
      url: `https://dl.k8s.io/v1.36.3/bin/${platform}/kube-apiserver`,
      sums: `https://dl.k8s.io/v1.36.3/bin/${platform}/kube-apiserver.sha256`,
    })
    const folder = `etcd-v3.6.7-${platform.replace('/', '-')}`
    const etcd = CONTROL_PLANE.etcd.release({})
    expect(etcd.url).toMatch(`https://github.com/etcd-io/etcd/releases/download/v3.6.7/${folder}.`)
    expect(etcd.sums).toBe('https://github.com/etcd-io/etcd/releases/download/v3.6.7/SHA256SUMS')
    expect(etcd.member).toBe(`${folder}/etcd`)
    expect(HELM.release({}).url).toBe(`https://get.helm.sh/helm-v4.3.1-${platform.replace('/', '-')}.tar.gz`)
  })

  it('downloads from mirrors where they are set', () => {
    const env = { TENANTRY_KUBE_MIRROR: 'http://k', TENANTRY_ETCD_MIRROR: 'http://e', TENANTRY_HELM_MIRROR: 'http://h' }
    expect(CONTROL_PLANE.kubectl.release(env).url).toBe(`http://k/v1.36.3/bin/${platform}/kubectl`)
    expect(CONTROL_PLANE.etcd.release(env).sums).toBe('http://e/v3.6.7/SHA256SUMS')
    expect(HELM.release(env).url).toMatch('http://h/helm-v4.3.1-')
  })
})

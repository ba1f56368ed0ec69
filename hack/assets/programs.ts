/** Where a release file is published. `member` is the program's path inside an archive; without it the file is the program. */
export interface Release {
  readonly origin: string
  readonly url: string
  readonly sums: string
  readonly member?: string
}

/** One program that is downloaded or built. `ask` are the arguments that make it print its version on the first line. */
export interface Program {
  readonly name: string
  readonly version: string
  readonly ask: readonly string[]
  /** The folder whose go.mod builds it, relative to go/ here, the package in it, and the linker's version stamps. */
  readonly go: { readonly folder: string; readonly package: string; readonly stamps: readonly string[] }
  readonly release: (env: NodeJS.ProcessEnv) => Release
}

/** The version of Kubernetes the stack runs; it names the cache folder too. */
export const KUBE_VERSION = 'v1.36.3'
const ETCD_VERSION = 'v3.6.7'
const HELM_VERSION = 'v4.3.1'

const os = process.platform
const arch = process.arch === 'x64' ? 'amd64' : process.arch

/**
 * The programs of the control plane. The base addresses can be pointed at mirrors that keep the publishers' layout:
 * `TENANTRY_KUBE_MIRROR` (default https://dl.k8s.io), `TENANTRY_ETCD_MIRROR` (default
 * https://github.com/etcd-io/etcd/releases/download) and `TENANTRY_HELM_MIRROR` (default https://get.helm.sh).
 */
export const CONTROL_PLANE = {
  kubeApiserver: kube('kube-apiserver'),
  kubeControllerManager: kube('kube-controller-manager'),
  kubeScheduler: kube('kube-scheduler'),
  kubectl: kube('kubectl'),
  etcd: {
    name: 'etcd',
    version: ETCD_VERSION,
    ask: ['--version'],
    go: { folder: 'etcd', package: 'go.etcd.io/etcd/server/v3', stamps: [] },
    release: (env) => {
      const origin = env.TENANTRY_ETCD_MIRROR || 'https://github.com/etcd-io/etcd/releases/download'
      const folder = `etcd-${ETCD_VERSION}-${os}-${arch}`
      const url = `${origin}/${ETCD_VERSION}/${folder}.${os === 'darwin' ? 'zip' : 'tar.gz'}`
      return { origin, url, sums: `${origin}/${ETCD_VERSION}/SHA256SUMS`, member: `${folder}/etcd` }
    },
  },
} as const satisfies Record<string, Program>

/** Helm, which only the chart's tests need. */
export const HELM: Program = {
  name: 'helm',
  version: HELM_VERSION,
  ask: ['version', '--short'],
  go: {
    folder: 'helm',
    package: 'helm.sh/helm/v4/cmd/helm',
    stamps: [`helm.sh/helm/v4/internal/version.version=${HELM_VERSION}`],
  },
  release: (env) => {
    const origin = env.TENANTRY_HELM_MIRROR || 'https://get.helm.sh'
    const url = `${origin}/helm-${HELM_VERSION}-${os}-${arch}.tar.gz`
    return { origin, url, sums: `${url}.sha256sum`, member: `${os}-${arch}/helm` }
  },
}

function kube(name: string): Program {
  const [major, minor] = KUBE_VERSION.slice(1).split('.')
  const stamp = 'k8s.io/component-base/version'
  return {
    name,
    version: KUBE_VERSION,
    ask: name === 'kubectl' ? ['version', '--client'] : ['--version'],
    go: {
      folder: 'kube',
      package: `k8s.io/kubernetes/cmd/${name}`,
      stamps: [`${stamp}.gitVersion=${KUBE_VERSION}`, `${stamp}.gitMajor=${major}`, `${stamp}.gitMinor=${minor}`],
    },
    release: (env) => {
      const origin = env.TENANTRY_KUBE_MIRROR || 'https://dl.k8s.io'
      const url = `${origin}/${KUBE_VERSION}/bin/${os}/${arch}/${name}`
      return { origin, url, sums: `${url}.sha256` }
    },
  }
}

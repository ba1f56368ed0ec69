import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import type { Assets } from '../assets/assets.ts'
import { readIfThere, writePrivate } from './files.ts'
import type { StackState } from './state.ts'
import type { Supervisor } from './supervisor.ts'

interface Options {
  readonly dir: string
  readonly assets: Assets
  readonly state: StackState
  readonly fresh: boolean
}

const IDENTITIES = [
  { secret: 'admin', user: 'tenantry-admin', group: 'system:masters' },
  { secret: 'controllerManager', user: 'system:kube-controller-manager', group: '' },
  { secret: 'scheduler', user: 'system:kube-scheduler', group: '' },
] as const

/** Starts etcd, the API server, the controllers and the scheduler; resolves to the path of an administrator's kubeconfig. */
export async function startKubernetes(supervisor: Supervisor, options: Options): Promise<string> {
  const folder = join(options.dir, 'kubernetes')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await startEtcd(supervisor, options)
  startApiServer(supervisor, options, folder)
  const ca = join(folder, 'ca.crt')
  await supervisor.ready('kube-apiserver', async () => {
    writePrivate(ca, certificateAuthority(join(folder, 'certs', 'apiserver.crt')))
    await get(options.state, readIfThere(ca) ?? '', '/readyz')
  })
  const kubeconfig = join(options.dir, 'kubeconfig')
  writeKubeconfig(kubeconfig, options.state, 'admin', ca)
  startControllers(supervisor, options, { folder, ca })
  await supervisor.ready('kube-controller-manager', () =>
    get(options.state, readIfThere(ca) ?? '', '/api/v1/namespaces/default/serviceaccounts/default'),
  )
  return kubeconfig
}

async function startEtcd(supervisor: Supervisor, { dir, assets, state, fresh }: Options): Promise<void> {
  const client = `http://127.0.0.1:${state.ports.etcd}`
  const peer = `http://127.0.0.1:${state.ports.etcdPeer}`
  supervisor.start({
    name: 'etcd',
    command: assets.etcd,
    args: [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--log-level=warn',
      ...(fresh ? ['--unsafe-no-fsync'] : []),
    ],
  })
  await supervisor.ready('etcd', async () => {
    const response = await fetch(`${client}/health`)
    if (!response.ok) throw new Error(`/health answered ${response.status}`)
  })
}

function startApiServer(supervisor: Supervisor, { assets, state }: Options, folder: string): void {
  const key = join(folder, 'service-account.key')
  if (readIfThere(key) === undefined) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writePrivate(key, privateKey.export({ type: 'pkcs1', format: 'pem' }).toString())
  }
  const rows = IDENTITIES.map(({ secret, user, group }) => `${state.secrets[secret]},${user},${user},"${group}"`)
  const tokens = join(folder, 'tokens.csv')
  writePrivate(tokens, `${rows.join('\n')}\n`)
  supervisor.start({
    name: 'kube-apiserver',
    command: assets.kubeApiserver,
    args: [
      `--etcd-servers=http://127.0.0.1:${state.ports.etcd}`,
      `--secure-port=${state.ports.kubeApiserver}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      '--endpoint-reconciler-type=none',
      `--cert-dir=${join(folder, 'certs')}`,
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--authorization-mode=RBAC',
      `--token-auth-file=${tokens}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--allow-privileged=true',
      '--profiling=false',
    ],
  })
}

function startControllers(
  supervisor: Supervisor,
  { assets, state }: Options,
  { folder, ca }: { folder: string; ca: string },
): void {
  const managerConfig = join(folder, 'controller-manager.kubeconfig')
  const schedulerConfig = join(folder, 'scheduler.kubeconfig')
  writeKubeconfig(managerConfig, state, 'controllerManager', ca)
  writeKubeconfig(schedulerConfig, state, 'scheduler', ca)
  supervisor.start({
    name: 'kube-controller-manager',
    command: assets.kubeControllerManager,
    args: [
      `--kubeconfig=${managerConfig}`,
      `--service-account-private-key-file=${join(folder, 'service-account.key')}`,
      `--root-ca-file=${ca}`,
      '--use-service-account-credentials=true',
      // The defaults of 20 and 30 requests a second would make the first start of every controller take five seconds.
      '--kube-api-qps=200',
      '--kube-api-burst=400',
      '--leader-elect=false',
      '--secure-port=0',
    ],
  })
  supervisor.start({
    name: 'kube-scheduler',
    command: assets.kubeScheduler,
    args: [`--kubeconfig=${schedulerConfig}`, '--leader-elect=false', '--secure-port=0'],
  })
}

/** The API server makes its own certificate: the file holds the leaf and, last, the authority that signed it. */
function certificateAuthority(path: string): string {
  const certificates = readIfThere(path)?.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g)
  const last = certificates?.at(-1)
  if (last === undefined) throw new Error('it has not made its certificate yet')
  return last
}

function writeKubeconfig(path: string, state: StackState, secret: (typeof IDENTITIES)[number]['secret'], ca: string) {
  const authority = Buffer.from(readIfThere(ca) ?? '').toString('base64')
  writePrivate(
    path,
    `apiVersion: v1
kind: Config
clusters:
- name: tenantry
  cluster:
    server: https://127.0.0.1:${state.ports.kubeApiserver}
    certificate-authority-data: ${authority}
users:
- name: ${secret}
  user:
    token: ${state.secrets[secret]}
contexts:
- name: tenantry
  context:
    cluster: tenantry
    user: ${secret}
current-context: tenantry
`,
  )
}

function get(state: StackState, ca: string, path: string): Promise<void> {
  const headers = { authorization: `Bearer ${state.secrets.admin}` }
  return new Promise((done, fail) => {
    const asked = request({ host: '127.0.0.1', port: state.ports.kubeApiserver, path, ca, headers, agent: false })
    asked.setTimeout(5000, () => asked.destroy(new Error(`${path} did not answer within 5 s`)))
    asked.once('error', fail)
    asked.once('response', (response) => {
      response.resume()
      if (response.statusCode === 200) done()
      else fail(new Error(`${path} answered ${response.statusCode}`))
    })
    asked.end()
  })
}

import { CoreV1Api, KubeConfig, type V1PodSpec } from '@kubernetes/client-node'
import { describe, expect, it } from 'vitest'
import {
  apps,
  ask,
  available,
  batch,
  conditionsOf,
  core,
  createPod,
  deploy,
  here,
  isAlive,
  logsOf,
  namespace,
  pods,
  rbac,
  runningPods,
  runPod,
  scale,
  startAgain,
  stopNode,
  until,
  useProcessNode,
} from './node.fixture.ts'

useProcessNode()

describe('a Deployment on the process node', () => {
  it('becomes Available, scales up and to nothing, and each Pod answers on its own address', async () => {
    await deploy({ replicas: 2, container: { readinessProbe: { httpGet: { path: '/ready', port: 'http' } } } })
    await available(2)
    const two = await pods()
    expect(new Set(two.map((pod) => pod.status?.podIP)).size).toBe(2)
    const pids = await Promise.all(two.map((pod) => ask<number>(pod, '/pid')))
    expect(pids.every(isAlive)).toBe(true)

    await scale(3)
    await available(3)
    expect(await pods()).toHaveLength(3)

    await scale(0)
    await until('no Pods', async () => (await pods()).length === 0)
    expect(pids.some(isAlive)).toBe(false)
  })

  it('is not Available while the readiness probe fails', async () => {
    const env = [{ name: 'NEVER_READY', value: '1' }]
    await deploy({
      container: { env, readinessProbe: { httpGet: { path: '/ready', port: 8080 }, failureThreshold: 1 } },
    })
    const [pod] = await runningPods(1)
    expect(pod?.status?.containerStatuses?.[0]).toMatchObject({ ready: false, started: true })
    expect(conditionsOf(pod)).toMatchObject({ Initialized: 'True', ContainersReady: 'False', Ready: 'False' })
    expect((await apps.readNamespacedDeployment({ namespace, name: 'web' })).status?.availableReplicas).toBeUndefined()
  })

  it('restarts a container that crashes, and keeps the log of each run', async () => {
    await deploy({})
    const [pod] = await runningPods(1)
    await ask(pod, '/crash').catch(() => undefined)
    const restarted = await until('a restart', async () => {
      const [again] = await pods()
      const status = again?.status?.containerStatuses?.[0]
      return status?.restartCount === 1 && status.state?.running ? again : undefined
    })
    expect(restarted.metadata?.uid).toBe(pod?.metadata?.uid)
    expect(restarted.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      exitCode: 3,
      reason: 'Error',
    })
    await until('both logs', () => logsOf(restarted, 'web').join() === 'listening\n,listening\n')
  })

  it('restarts a container whose liveness probe fails', async () => {
    const livenessProbe = { httpGet: { path: '/missing', port: 8080 }, periodSeconds: 1, failureThreshold: 1 }
    await deploy({ container: { livenessProbe } })
    await until('a restart', async () => ((await pods())[0]?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0)
  })
})

describe('a Pod on the process node', () => {
  it('gets variables from values, Secrets, ConfigMaps and its own fields', async () => {
    await core.createNamespacedSecret({
      namespace,
      body: { metadata: { name: 's' }, stringData: { password: 'p=1 $(X)' } },
    })
    await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'c' }, data: { mode: 'fast' } },
    })
    const pod = await runPod({
      envFrom: [{ configMapRef: { name: 'c' }, prefix: 'CFG_' }, { secretRef: { name: 'absent', optional: true } }],
      env: [
        { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 's', key: 'password' } } },
        { name: 'MODE', valueFrom: { configMapKeyRef: { name: 'c', key: 'mode' } } },
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'SPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
        { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'URL', value: 'http://$(IP):8080/$(MODE)/$(UNKNOWN)/$$(MODE)' },
      ],
    })
    const ip = pod.status?.podIP
    expect(await ask(pod, '/env')).toMatchObject({
      CFG_mode: 'fast',
      PASSWORD: 'p=1 $(X)',
      MODE: 'fast',
      NAME: 'web',
      SPACE: namespace,
      IP: ip,
      URL: `http://${ip}:8080/fast/$(UNKNOWN)/$(MODE)`,
    })
  })

  it('finds its volumes at the paths of its arguments', async () => {
    await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'c' }, data: { 'app.yaml': 'port: 1' } },
    })
    const pod = await runPod(
      {
        args: ['/etc/app/app.yaml', '--dir=/scratch/x', '/etc/apple'],
        volumeMounts: [
          { name: 'config', mountPath: '/etc/app' },
          { name: 'scratch', mountPath: '/scratch' },
        ],
      },
      {
        volumes: [
          { name: 'config', configMap: { name: 'c' } },
          { name: 'scratch', emptyDir: {} },
        ],
      },
    )
    expect(await ask(pod, '/file')).toBe('port: 1')
    const { TENANTRY_ROOT } = await ask(pod, '/env')
    const args = [`${TENANTRY_ROOT}/etc/app/app.yaml`, `--dir=${TENANTRY_ROOT}/scratch/x`, '/etc/apple']
    expect(await ask(pod, '/args')).toEqual(args)
  })

  it('talks to the API server with the rights of its service account and no more', async () => {
    const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }]
    await rbac.createNamespacedRole({ namespace, body: { metadata: { name: 'reader' }, rules } })
    await rbac.createNamespacedRoleBinding({
      namespace,
      body: {
        metadata: { name: 'reader' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ kind: 'ServiceAccount', name: 'default', namespace }],
      },
    })
    const pod = await runPod({})
    const own = new KubeConfig()
    own.loadFromFile((await ask(pod, '/env')).KUBECONFIG ?? '')
    const api = own.makeApiClient(CoreV1Api)
    expect((await api.listNamespacedConfigMap({ namespace })).items.map(({ metadata }) => metadata?.name)).toContain(
      'kube-root-ca.crt',
    )
    await expect(api.listNamespacedSecret({ namespace })).rejects.toMatchObject({ code: 403 })
  })

  it('waits with a clear reason for a Secret that is missing, and starts once it is there', async () => {
    await createPod({ env: [{ name: 'P', valueFrom: { secretKeyRef: { name: 'late', key: 'p' } } }] })
    await until('the reason', async () => {
      const waiting = (await pods())[0]?.status?.containerStatuses?.[0]?.state?.waiting
      return waiting?.reason === 'CreateContainerConfigError' && waiting.message === 'secret "late" not found'
    })
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'late' }, stringData: { p: 'v' } } })
    const [pod] = await runningPods(1)
    expect(await ask(pod, '/env')).toMatchObject({ P: 'v' })
  })

  it('waits with ErrImagePull when its image stands for no local command', async () => {
    await createPod({ image: 'ghcr.io/someone/else:1' })
    await until('the reason', async () => {
      const waiting = (await pods())[0]?.status?.containerStatuses?.[0]?.state?.waiting
      return waiting?.reason === 'ErrImagePull' && waiting.message?.includes('ghcr.io/someone/else:1')
    })
    expect((await pods())[0]?.status?.phase).toBe('Pending')
  })

  it('says that it runs no sidecars', async () => {
    const initContainers = [{ name: 'side', image: 'test/sh', restartPolicy: 'Always' }]
    await createPod({}, { initContainers })
    await until('the reason', async () => {
      const waiting = (await pods())[0]?.status?.initContainerStatuses?.[0]?.state?.waiting
      return waiting?.message === 'this node runs no sidecars among init containers'
    })
  })

  it('runs init containers first, in order, and to the end', async () => {
    const initContainers = ['one', 'two'].map((name) => ({
      name,
      image: 'test/sh',
      args: ['-c', `echo ${name} >> /shared/order`],
      volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
    }))
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
    const volumes = [{ name: 'shared', emptyDir: {} }]
    const pod = await runPod({ args: ['/shared/order'], volumeMounts }, { initContainers, volumes })
    expect(await ask(pod, '/file')).toBe('one\ntwo\n')
  })

  it('is stopped gently and its object taken away when it is deleted', async () => {
    const pod = await runPod({})
    const pid = await ask<number>(pod, '/pid')
    await core.deleteNamespacedPod({ namespace, name: 'web' })
    await until('the Pod to be gone', async () => (await pods()).length === 0)
    expect(isAlive(pid)).toBe(false)
    expect(logsOf(pod, 'web').join()).toContain('stopping')
  })

  it('is killed when it ignores SIGTERM, with everything it started', async () => {
    const args = ['-c', 'trap "" TERM; sleep 600 & echo $! $$$$; wait; wait; wait']
    const pod = await runPod({ image: 'test/sh', args }, { terminationGracePeriodSeconds: 1 })
    const pids = await until('its output', () => logsOf(pod, 'web')[0]?.trim().split(' ').map(Number))
    expect(pids.every(isAlive)).toBe(true)
    await core.deleteNamespacedPod({ namespace, name: 'web' })
    await until('the Pod to be gone', async () => (await pods()).length === 0)
    expect(pids.some(isAlive)).toBe(false)
  })

  it('is taken up again, with its address renewed, by a node that starts anew', async () => {
    const before = await runPod({})
    const pid = await ask<number>(before, '/pid')
    await stopNode()
    expect(isAlive(pid)).toBe(false)
    await startAgain()
    const after = await until('the second run', async () => {
      const [pod] = await pods()
      return pod?.status?.containerStatuses?.[0]?.restartCount === 1 && conditionsOf(pod).Ready === 'True'
        ? pod
        : undefined
    })
    expect(after.metadata?.uid).toBe(before.metadata?.uid)
    expect(await ask<number>(after, '/pid')).not.toBe(pid)
  })
})

describe('a Job on the process node', () => {
  it.each([
    ['succeeds', 'exit 0', 'succeeded'],
    ['fails', 'exit 4', 'failed'],
  ] as const)('%s with its process', async (_what, script, field) => {
    const containers = [{ name: 'once', image: 'test/sh', args: ['-c', script] }]
    const spec: V1PodSpec = { ...here(), restartPolicy: 'Never', containers }
    await batch.createNamespacedJob({
      namespace,
      body: { metadata: { name: 'job' }, spec: { backoffLimit: 0, template: { spec } } },
    })
    await until(
      'the Job to end',
      async () => (await batch.readNamespacedJob({ namespace, name: 'job' })).status?.[field],
    )
  })
})

import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { freshNamespace, freshPostgres, freshSuffix, useStack } from './stack.ts'

test('a fresh namespace exists on a control plane whose certificate is verified and whose controllers work', async () => {
  const name = await freshNamespace('lab')
  const config = new KubeConfig()
  config.loadFromFile(useStack().kubeconfig)
  expect(config.getCurrentCluster()?.skipTLSVerify ?? false).toBe(false)
  const api = config.makeApiClient(CoreV1Api)
  await expect
    .poll(() => api.readNamespacedServiceAccount({ namespace: name, name: 'default' }), { timeout: 30_000 })
    .toBeTruthy()
})

test('a fresh Postgres database has what tenants need: logical decoding, SCRAM and the extensions', async () => {
  const { host, port, username: user, password, database } = await freshPostgres()
  const client = new Client({ host, port, user, password, database })
  await client.connect()
  const { rows } = await client.query(
    `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('wal_level') AS wal,
            current_setting('password_encryption') AS encryption, current_database() AS database`,
  )
  expect(rows).toEqual([{ major: 16, wal: 'logical', encryption: 'scram-sha-256', database }])
  for (const extension of ['pg_trgm', 'uuid-ossp', 'pg_stat_statements']) {
    await client.query(`CREATE EXTENSION "${extension}"`)
  }
  expect((await client.query('SELECT count(*) > 0 AS seen FROM pg_stat_statements')).rows).toEqual([{ seen: true }])
  await client.end()
})

test('Redis keeps users in its ACL file and lets nobody in without a password', async () => {
  const { host, port, username, password } = useStack().redis
  const admin = new Redis({ host, port, username: username ?? '', password: password ?? '' })
  const user = `test-${freshSuffix()}`
  await admin.call('ACL', 'SETUSER', user, 'on', 'nopass', '~none', '+ping')
  expect(await admin.call('ACL', 'SAVE')).toBe('OK')
  await admin.call('ACL', 'DELUSER', user)
  expect(await admin.info('server')).toMatch(/redis_version:[78]\./)
  admin.disconnect()
  const stranger = new Redis({ host, port, retryStrategy: () => null })
  stranger.on('error', () => undefined)
  await expect(stranger.get('x')).rejects.toThrow('NOAUTH')
  stranger.disconnect()
})

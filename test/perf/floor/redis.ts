import { encodeMark } from '@tenantry/engines/mark.ts'
import type { Change } from '@tenantry/engines/model.ts'
import { setUserArgs } from '@tenantry/engines/redis/acl.ts'
import { REGISTRY, type RedisResource, type RedisSnapshot } from '@tenantry/engines/redis/model.ts'
import { Redis } from 'ioredis'
import type { Tier } from '../platform.ts'
import type { Driver, Place } from './lane.ts'

/** The engine's commands over ioredis: one pipeline for each tenant, and an ACL SAVE that tenants share as in the engine. */
export function redisDriver({ connection }: Tier): Driver<RedisResource, RedisSnapshot> {
  const { host, port, username = 'default', password = '' } = connection
  const admin = new Redis({ host, port, username, password, lazyConnect: true })
  admin.on('error', () => undefined)
  const save = shared(async () => {
    await admin.call('ACL', 'SAVE')
  })
  return {
    make: async (place, changes, found) => {
      const pipeline = admin.pipeline()
      for (const change of changes) pipeline.call(...commandOf(place, change, found))
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
      await save()
    },
    logIn: async (place) => {
      const user = { username: place.login, password: place.password }
      const client = new Redis({
        host,
        port,
        ...user,
        lazyConnect: true,
        enableReadyCheck: false,
        disableClientInfo: true,
      })
      await client.connect()
      await client.ping()
      client.disconnect()
    },
    close: async () => admin.disconnect(),
  }
}

function commandOf(
  { owner, password }: Place,
  { target }: Change<RedisResource>,
  { table }: RedisSnapshot,
): [string, ...string[]] {
  if (target.kind === 'KeySpace') return ['HSET', REGISTRY, target.spec.name, encodeMark(owner)]
  return ['ACL', 'SETUSER', target.spec.login, ...setUserArgs(owner, target.spec, password, table)]
}

/** Callers that come while one call runs share the next. */
function shared(call: () => Promise<void>): () => Promise<void> {
  let running = Promise.resolve()
  let next: Promise<void> | undefined
  return () => {
    next ??= running.then(() => {
      next = undefined
      running = call()
      return running
    })
    return next
  }
}

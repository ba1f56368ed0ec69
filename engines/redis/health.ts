import { AppError } from '@tenantry/crds/errors.ts'
import type { Health } from '@tenantry/engines/model.ts'
import { answer, type Link } from './link.ts'

const OLDEST = 7

/**
 * Reads a server's health in one round trip; `tables` is the number of keys. Throws `WrongEngine` for what is no Redis
 * server, `UnsupportedVersion` below 7.0 (no selectors, no `%R~`), and `Unsupported` for a cluster: ACL users and the
 * registry live on one node.
 */
export async function health(link: Link, signal: AbortSignal): Promise<Health> {
  const doing = `check ${link.where}`
  const start = performance.now()
  const replies = await link.pipeline([['INFO'], ['DBSIZE']], signal)
  const latencyMs = performance.now() - start
  const info = parseInfo(String(answer(replies[0], doing)))
  const version = checked(info, doing)
  return {
    version,
    latencyMs,
    sizeBytes: Number(info.get('used_memory') ?? 0),
    tables: Number(answer(replies[1], doing)),
    connections: Number(info.get('connected_clients') ?? 0),
    accessControl: true,
  }
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const pairs = text.split(/\r?\n/).map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1)]
  })
  return new Map(pairs)
}

function checked(info: ReadonlyMap<string, string>, doing: string): string {
  const version = info.get('redis_version')
  if (version === undefined || info.get('redis_mode') === 'sentinel') {
    throw new AppError(
      'WrongEngine',
      `${doing}: what answers there is no Redis data server; correct host and port in the connection Secret`,
    )
  }
  if (!(Number.parseInt(version, 10) >= OLDEST)) {
    throw new AppError(
      'UnsupportedVersion',
      `${doing}: the server is Redis ${version}; upgrade it to ${OLDEST}.0 or newer`,
    )
  }
  if (info.get('cluster_enabled') === '1') {
    throw new AppError(
      'Unsupported',
      `${doing}: the server is a node of a Redis Cluster, where users would be missing on the other nodes; use one server (or primary) per shard`,
    )
  }
  return version
}

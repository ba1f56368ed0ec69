import { REGISTRY } from '@tenantry/engines/redis/model.ts'
import type { Stage } from '../lifecycles/life.ts'
import type { Entry } from './digest.ts'

/** Users, claims and keys of the run. */
export async function digestRedis({ lab, names }: Stage): Promise<readonly Entry[]> {
  const bases = new Set(names.bases())
  const isOurs = (text: string): boolean =>
    (text.match(/t_[a-z0-9_]+?_[0-9a-f]{8}/g) ?? []).some((base) => bases.has(base))
  const users = ((await lab.redis.call('ACL', 'LIST')) as string[]).filter(
    (line) => isOurs(line) || line.includes(names.run),
  )
  const registry = Object.entries(await lab.redis.hgetall(REGISTRY)).filter(([base]) => bases.has(base))
  const keys = (await Promise.all([...bases].map((base) => lab.redis.keys(`{${base}}:*`)))).flat()
  const values = await Promise.all(keys.map((key) => lab.redis.get(key)))
  return [
    ...users.map((line): Entry => [`redis user ${line.split(' ')[1]}`, rulesOf(line)]),
    ...registry.map(([base, mark]): Entry => [`redis claim ${base}`, mark]),
    ...keys.map((key, index): Entry => [`redis key ${key}`, values[index]]),
  ]
}

/** Without password hashes; the mark is a key pattern in base64 or hex of its own. */
function rulesOf(line: string): readonly string[] {
  const rules = line
    .split(' ')
    .slice(2)
    .map((rule) => (rule.startsWith('#') ? '#<hash>' : rule))
  return rules.map((rule) => (rule.startsWith('%R~tenantry') || rule.startsWith('~tenantry') ? '<mark>' : rule))
}

import { ANNOTATIONS, isSet } from '@tenantry/crds/annotations.ts'
import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import { databaseName } from '@tenantry/engines/names.ts'
import type { Target } from '../../reconcile/model.ts'
import type { Shard } from '../../shards/shard.ts'
import type { Wanted } from './rollout/wanted.ts'

/** What the Database itself owns on one shard: control schema, extensions, shared tables; nothing when it is going. Pure. */
export function databaseTarget(
  database: Database,
  name: string,
  shard: Shard,
  { files, reverted, run }: Wanted,
): Target {
  const { spec, metadata } = database
  const shared = databaseName(metadata)
  const input = {
    isolation: spec.isolation,
    shared,
    extensions: spec.extensions ?? [],
    files,
    reverted,
  }
  return {
    label: name,
    shard,
    scope: [shared],
    wanted: metadata.deletionTimestamp ? [] : shard.engine.databaseResources(input),
    secrets: noLogins,
    ...(run && { run }),
    policy: {
      paused: isSet(metadata.annotations, ANNOTATIONS.paused),
      mode: spec.mode,
      approval: spec.approval,
      retain: spec.deletionPolicy === 'Retain',
      adopt: isSet(metadata.annotations, ANNOTATIONS.adopt),
      approved: metadata.annotations?.[ANNOTATIONS.approved],
    },
  }
}

function noLogins(login: string): never {
  throw new AppError('Internal', `look up the password of ${login}: a Database has no logins of its own`)
}

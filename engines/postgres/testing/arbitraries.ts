/** Random wishes, and shards on which they were made and then damaged. Imported by tests only. */
import fc from 'fast-check'
import { decodeMark, encodeMark } from '../../mark.ts'
import type { Isolation, MigrationFile, Owner } from '../../model.ts'
import type { PgResource } from '../model.ts'
import { databaseResources, tenantResources } from '../resources.ts'
import type { PgSnapshot } from '../snapshot.ts'
import { imagineAll, snapshotOf, type World } from './imagine.ts'

const ACME: Owner = { installation: 'lab', kind: 'Tenant', namespace: 'a', name: 'acme', uid: '1' }
const TIER: Owner = { installation: 'lab', kind: 'Database', namespace: 'a', name: 'oltp', uid: '2' }
const OTHER: Owner = { installation: 'another', kind: 'Tenant', namespace: 'a', name: 'acme', uid: '3' }

const fileArb: fc.Arbitrary<MigrationFile> = fc.record({
  version: fc.integer({ min: 1, max: 30 }).map(String),
  name: fc.string(),
  checksum: fc.constantFrom('x', 'y'),
  body: fc.string(),
})

export interface Case {
  readonly owner: Owner
  readonly wanted: readonly PgResource[]
}

const tenantArb: fc.Arbitrary<Case> = fc
  .record({
    isolation: fc.constantFrom<Isolation>('Schema', 'Row'),
    accesses: fc.subarray(['ReadWrite', 'ReadOnly'] as const),
    suspended: fc.boolean(),
    connections: fc.integer({ min: 1, max: 99 }),
    files: fc.uniqueArray(fileArb, { selector: ({ version }) => version, maxLength: 4 }),
  })
  .map(({ isolation, accesses, suspended, connections, files }) => ({
    owner: ACME,
    wanted: tenantResources({
      isolation,
      name: 't_acme_00000001',
      tenantId: 't_acme_00000002',
      shared: 'd_oltp_00000003',
      suspended,
      logins: accesses.map((access) => ({
        access,
        login: `t_acme_00000001_${access === 'ReadOnly' ? 'ro_a' : 'app_a'}`,
        fingerprint: 'f',
      })),
      limits: { connections },
      files,
    }),
  }))

const databaseArb: fc.Arbitrary<Case> = fc
  .record({
    isolation: fc.constantFrom<Isolation>('Schema', 'Row', 'Database'),
    extensions: fc.subarray(['pg_trgm', 'uuid-ossp']),
    files: fc.uniqueArray(fileArb, { selector: ({ version }) => version, maxLength: 4 }),
  })
  .map((input) => ({ owner: TIER, wanted: databaseResources({ ...input, shared: 'd_oltp_00000003' }) }))

export const caseArb = fc.oneof(tenantArb, databaseArb)

type Fate = 'kept' | 'lost' | 'unmarked' | 'taken' | 'reborn'

const FATES: readonly Fate[] = ['kept', 'kept', 'lost', 'unmarked', 'taken', 'reborn']

/** Everything was made, and then any part of it was lost, changed hands, lost its mark or came from an earlier life. */
export const damagedArb = ({ owner, wanted }: Case): fc.Arbitrary<PgSnapshot> =>
  fc
    .array(fc.constantFrom(...FATES), { minLength: 12, maxLength: 12 })
    .map((fates) => snapshotOf(damaged(imagineAll(owner, wanted), { owner, fates })))

function damaged(world: World, { owner, fates }: { owner: Owner; fates: readonly Fate[] }): World {
  let n = 0
  const next = (): Fate => fates[n++ % fates.length] ?? 'kept'
  const damage = <T extends Commented>(map: Map<string, T>): void => {
    for (const [key, thing] of [...map]) suffer(map, key, { owner, thing, fate: next() })
  }
  damage(world.roles)
  damage(world.schemas)
  damage(world.bindings)
  damage(world.tenants)
  if (next() === 'lost') world.control = undefined
  return world
}

interface Commented {
  readonly comment: string | undefined
}

function suffer<T extends Commented>(
  map: Map<string, T>,
  key: string,
  { owner, thing, fate }: { owner: Owner; thing: T; fate: Fate },
): void {
  const facts = decodeMark(thing.comment)?.facts ?? {}
  const comment = encodeMark(fate === 'taken' ? OTHER : { ...owner, uid: 'old' }, facts)
  if (fate === 'lost') map.delete(key)
  if (fate === 'unmarked') map.set(key, { ...thing, comment: undefined, mark: undefined })
  if (fate === 'taken' || fate === 'reborn') map.set(key, { ...thing, comment, mark: decodeMark(comment) })
}

import { encodeMark } from '../../mark.ts'
import type { FieldDiff } from '../../model.ts'
import type { TenantDatabase } from '../model.ts'
import type { Inside, PgSnapshot } from '../snapshot.ts'
import { changeOf, claim, field, flag, type PgChange, type Scene, surplus } from './claim.ts'
import { grants } from './schema.ts'

export function databaseFacts(database: string): Readonly<Record<string, string>> {
  return { database }
}

export function diffTenantDatabase(scene: Scene, target: TenantDatabase): PgChange | undefined {
  const { name, owner, rw, ro } = target.spec
  const found = scene.found.databases.get(name)
  if (!found) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, claim(scene, { title: `database "${name}"`, mark: found.mark }), [
    ...field('owner', owner, found.owner),
    ...grants(scene, found.acl, { owners: [owner, found.owner], wanted: { [rw]: 'c', [ro]: 'c' } }),
    ...(found.inside ? insideFields(scene, target, found.inside) : []),
    ...flag('mark', found.comment !== encodeMark(scene.owner, databaseFacts(scene.found.server.database))),
  ])
}

function insideFields({ found }: Scene, { spec }: TenantDatabase, inside: Inside): readonly FieldDiff[] {
  const missing = shardExtensions(found).filter((name) => !inside.extensions.has(name))
  const groups = [spec.owner, spec.rw, spec.ro]
  return [
    ...flag('public open to PUBLIC', inside.publicAcl?.has('') ?? false),
    ...flag(
      'usage of public',
      groups.some((name) => !inside.publicAcl?.get(name)?.includes('U')),
    ),
    ...surplus('missing extensions', missing),
  ]
}

/** Extensions that the shard's database has in schema public: a tenant's own database gets the same. */
export function shardExtensions({ extensions }: PgSnapshot): readonly string[] {
  return [...extensions].flatMap(([name, schema]) => (schema === 'public' ? [name] : [])).toSorted()
}

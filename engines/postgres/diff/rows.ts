import type { FieldDiff } from '../../model.ts'
import type { Binding, SharedTables, TenantRows } from '../model.ts'
import { expectedPolicy, grantsOfTable, isDanger, isSecured, POLICY } from '../shared-tables.ts'
import type { SharedTable } from '../snapshot.ts'
import { changeOf, claim, field, flag, markField, type PgChange, type Scene } from './claim.ts'
import { grants } from './schema.ts'

export function diffBinding(scene: Scene, target: Binding): PgChange | undefined {
  const { login, tenantId } = target.spec
  const found = scene.found.bindings.get(login)
  if (!found) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, claim(scene, { title: `binding of login "${login}"`, mark: found.mark }), [
    ...field('tenant id', tenantId, found.tenantId),
    ...markField(scene, found.comment, {}),
  ])
}

export function diffTenantRows(scene: Scene, target: TenantRows): PgChange | undefined {
  const { name, tenantId, shared } = target.spec
  const found = scene.found.tenants.get(name)
  if (!found) return changeOf(target, { op: 'create' }, [])
  return changeOf(target, claim(scene, { title: `registry entry of tenant "${name}"`, mark: found.mark }), [
    ...field('tenant id', tenantId, found.tenantId),
    ...field('shared schema', shared, found.shared),
    ...markField(scene, found.comment, {}),
  ])
}

export function diffSharedTables(scene: Scene, target: SharedTables): PgChange | undefined {
  const found = scene.found.schemas.get(target.spec.schema)
  if (!found) return undefined
  const tables = found.tables.flatMap((table) => tableFields(scene, target, table))
  const others = found.objects.filter(({ kind }) => kind !== 'table')
  const { owner, rw, ro } = target.spec
  const rest = others.flatMap((group) => [
    ...field(`${group.kind} owner`, owner, group.owner),
    ...grants(scene, group.acl, {
      owners: [owner, group.owner],
      wanted: group.kind === 'sequence' ? { [rw]: 'rwU', [ro]: 'r' } : { [rw]: 'X', [ro]: 'X' },
    }),
  ])
  return changeOf(target, { op: 'alter' }, [...tables, ...rest])
}

function tableFields(scene: Scene, { spec }: SharedTables, table: SharedTable): readonly FieldDiff[] {
  const name = `"${table.name}"`
  return [
    ...field(`${name} owner`, spec.owner, table.owner),
    ...(isSecured(table) ? security(name, table) : []),
    ...grants(scene, table.acl, { owners: [spec.owner, table.owner], wanted: grantsOfTable(table, spec) }).map(
      (diff) => ({
        ...diff,
        field: `${name} ${diff.field}`,
      }),
    ),
  ]
}

function security(name: string, table: SharedTable): readonly FieldDiff[] {
  const policy = table.policies.find((p) => p.name === POLICY)
  return [
    ...flag(`${name} row security off`, !table.rowSecurity),
    ...flag(`${name} row security not forced`, !table.forced),
    ...flag(`${name} policy`, !policy || !expectedPolicy(table, policy)),
    ...flag(`${name} other permissive policies`, table.policies.some(isDanger)),
  ]
}

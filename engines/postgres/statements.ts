import type { PgChange } from './diff/claim.ts'
import { sentText } from './migrate/transaction.ts'
import type { Migration, PgResource, Reversal } from './model.ts'
import { PREVIEW, type SqlContext } from './sql/context.ts'
import { bindingStatements, closeLogin, dropBinding, dropRole, endSessions, roleStatements } from './sql/role.ts'
import { dropTenantRows, sharedTableStatements, tenantRowsStatements } from './sql/rows.ts'
import {
  defaultStatements,
  dropSchema,
  objectStatements,
  schemaObjectStatements,
  schemaStatements,
} from './sql/schema.ts'
import {
  controlSchemaStatements,
  createDatabase,
  databaseStatements,
  dropControl,
  dropDatabase,
  entryStatements,
  extensionStatement,
  gateStatements,
  insideStatements,
} from './sql/shard.ts'
import { type Topics, topicsOf } from './sql/topics.ts'

/** For people: what a change does, with secrets replaced by `***`. Looks nothing up. */
export function statements(change: PgChange): readonly string[] {
  const { target, op } = change
  if (target.kind === 'Migration') return migrationPreview(target)
  if (target.kind === 'Reversal') return reversalPreview(target)
  if (target.kind !== 'TenantDatabase') return [...preludeOf(change), ...changeStatements(PREVIEW, change)]
  if (op === 'drop') return [dropDatabase(target)]
  return [
    ...(op === 'create' ? [createDatabase(target)] : []),
    ...changeStatements(PREVIEW, change),
    ...insideStatements(PREVIEW, target),
  ]
}

function migrationPreview(target: Migration): readonly string[] {
  const { spec } = target
  return [`-- ${spec.name}, as ${spec.owner} in schema ${spec.schema}`, previewText(target)]
}

function reversalPreview(target: Reversal): readonly string[] {
  const { spec } = target
  const held = spec.down.guards.map(({ table, column }) => (column === undefined ? table : `${table}.${column}`))
  const unless = held.length > 0 ? `, unless there is data in ${held.join(', ')}` : ''
  return [`-- ${spec.down.name}, as ${spec.owner} in schema ${spec.schema}${unless}`, previewText(target)]
}

/** As it is sent; a text that cannot be sent, because a placeholder has no value, as it stands. */
function previewText(target: Migration | Reversal): string {
  try {
    return sentText(target)
  } catch {
    return 'down' in target.spec ? target.spec.down.body : target.spec.body
  }
}

/** What a change needs to have committed before it: clients that are shut out and sent away. */
export function preludeOf({ op, target }: PgChange): readonly string[] {
  if (target.kind !== 'Role' || target.spec.use !== 'login') return []
  const closes = op === 'drop' || target.spec.login?.enabled === false
  return closes ? [closeLogin(target.spec.name), endSessions(target.spec.name)] : []
}

/** What a change does in one transaction in the database where its target is. */
export function changeStatements(context: SqlContext, change: PgChange): readonly string[] {
  const { op, target } = change
  return op === 'drop' ? dropStatements(target) : makeStatements(context, target, topicsOf(change))
}

function makeStatements(context: SqlContext, target: PgResource, topics: Topics): readonly string[] {
  switch (target.kind) {
    case 'Role':
      return roleStatements(context, target, topics)
    case 'Gate':
      return gateStatements(context, target, topics)
    case 'ControlSchema':
      return controlSchemaStatements(context, target)
    case 'Extension':
      return [extensionStatement(target.spec.name)]
    case 'Entry':
      return entryStatements(target)
    case 'TenantDatabase':
      return databaseStatements(context, target, topics)
    default:
      return contentStatements(context, target, topics)
  }
}

function contentStatements(context: SqlContext, target: PgResource, topics: Topics): readonly string[] {
  switch (target.kind) {
    case 'Schema':
      return schemaStatements(context, target, topics)
    case 'DefaultPrivileges':
      return defaultStatements(target, topics)
    case 'ObjectGrants':
      return objectStatements(target.spec)
    case 'SharedTables':
      return sharedTableStatements(target.spec)
    case 'TenantRows':
      return tenantRowsStatements(context, target)
    case 'Binding':
      return bindingStatements(context, target)
    case 'SchemaObject':
      return schemaObjectStatements(target)
    default:
      return []
  }
}

function dropStatements(target: PgResource): readonly string[] {
  switch (target.kind) {
    case 'Role':
      return [dropRole(target.spec.name, target.spec.heir)]
    case 'Gate':
      return [dropRole(target.spec.gate, undefined)]
    case 'ControlSchema':
      return [dropControl()]
    case 'Schema':
      return [dropSchema(target.spec.schema)]
    case 'Binding':
      return [dropBinding(target)]
    case 'TenantRows':
      return dropTenantRows(target)
    default:
      return []
  }
}

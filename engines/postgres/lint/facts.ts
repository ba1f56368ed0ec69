import type { Node, RangeVar } from 'libpg-query'
import type { Parsed } from './parser.ts'
import { as, unwrap } from './walk.ts'

/** What the statements of a file so far mean for those that follow. */
export class Facts {
  readonly created = new Map<string, { readonly sure: boolean }>()
  readonly keyed: ReadonlySet<string>
  lockTimeout = false

  constructor(statements: readonly Parsed[]) {
    this.keyed = new Set(statements.flatMap(({ node }) => keyAddedTo(node)))
  }

  /** Takes note of a statement after it was looked at. */
  learn(node: Node): void {
    const created = createdBy(node)
    if (created) this.created.set(tableKey(created.table), { sure: created.sure })
    const set = as('VariableSetStmt', node)
    if (set?.name === 'lock_timeout' && set.kind === 'VAR_SET_VALUE') this.lockTimeout = true
  }
}

/** How tables are told apart within a file. */
export function tableKey(table: RangeVar | undefined): string {
  return `${table?.schemaname ?? ''}.${table?.relname ?? ''}`
}

function createdBy(node: Node): { table: RangeVar | undefined; sure: boolean } | undefined {
  const visited = unwrap(node)
  switch (visited.kind) {
    case 'CreateStmt':
      return { table: visited.node.relation, sure: visited.node.if_not_exists !== true }
    case 'CreateTableAsStmt':
      return { table: visited.node.into?.rel, sure: visited.node.if_not_exists !== true }
    case 'ViewStmt':
      return { table: visited.node.view, sure: visited.node.replace !== true }
    case 'SelectStmt':
      return visited.node.intoClause && { table: visited.node.intoClause.rel, sure: true }
    default:
      return undefined
  }
}

function keyAddedTo(node: Node): readonly string[] {
  const alter = as('AlterTableStmt', node)
  const adds = alter?.cmds?.some((command) => {
    const { subtype, def } = as('AlterTableCmd', command) ?? {}
    if (subtype === 'AT_AddColumn') return as('ColumnDef', def)?.constraints?.some(isPrimaryKey) === true
    return subtype === 'AT_AddConstraint' && def !== undefined && isPrimaryKey(def)
  })
  return adds === true ? [tableKey(alter?.relation)] : []
}

/** Whether a constraint is a primary key. */
export function isPrimaryKey(node: Node): boolean {
  return as('Constraint', node)?.contype === 'CONSTR_PRIMARY'
}

import type { AlterTableCmd, ColumnDef, Constraint, Node, RangeVar, TypeName } from 'libpg-query'
import { tableKey } from '../facts.ts'
import type { Context, Find, Hit } from '../rule.ts'
import { as, type Fields, names } from '../walk.ts'

/** A command of an ALTER TABLE, the table, and the context. */
interface Command {
  readonly command: AlterTableCmd
  readonly table: RangeVar | undefined
  readonly context: Context
}

/** Looks at each command of ALTER TABLE of a table that was there before the file. */
export function onCommand(look: (command: Command) => readonly Hit[]): Find {
  return {
    AlterTableStmt: ({ cmds = [], relation: table, objtype }, context) => {
      if (objtype !== 'OBJECT_TABLE' || wasCreated(table, context)) return []
      return cmds.flatMap((node) => {
        const command = as('AlterTableCmd', node)
        return command === undefined ? [] : look({ command, table, context })
      })
    },
  }
}

/** Looks at each constraint that ALTER TABLE adds to a table that was there before. */
export function onAddedConstraint(look: (constraint: Constraint, table: RangeVar | undefined) => readonly Hit[]): Find {
  return onCommand(({ command: { subtype, def }, table }) => {
    if (subtype === 'AT_AddConstraint') return constraintsIn(def ? [def] : []).flatMap((each) => look(each, table))
    if (subtype !== 'AT_AddColumn') return []
    return constraintsIn(as('ColumnDef', def)?.constraints).flatMap((each) => look(each, table))
  })
}

/** Looks at each column that ALTER TABLE adds to a table that was there before. */
export function onAddedColumn(
  look: (column: ColumnDef, constraints: readonly Constraint[], context: Context) => readonly Hit[],
): Find {
  return onCommand(({ command: { subtype, def }, context }) => {
    const column = subtype === 'AT_AddColumn' ? as('ColumnDef', def) : undefined
    return column === undefined ? [] : look(column, constraintsIn(column.constraints), context)
  })
}

/** Looks at each column that is made, in whatever statement. */
export function onColumn(look: (column: ColumnDef, type: string) => readonly Hit[]): Find {
  return { ColumnDef: (column) => look(column, typeOf(column.typeName)) }
}

/** The constraints among nodes. */
export function constraintsIn(nodes: readonly Node[] | undefined): readonly Constraint[] {
  return (nodes ?? []).flatMap((node) => as('Constraint', node) ?? [])
}

/** The name of a type without its schema. */
export function typeOf(type: TypeName | undefined): string {
  return names(type?.names).at(-1) ?? ''
}

/** Whether the file itself made the table, as far as locks matter: nobody else sees it yet. */
export function wasCreated(table: RangeVar | undefined, { created }: Context): boolean {
  return created.has(tableKey(table))
}

/** The name of a table as it stands in the file. */
export function tableName({ schemaname, relname = '' }: RangeVar = {}): string {
  return schemaname === undefined ? relname : `${schemaname}.${relname}`
}

/** The names that a DROP of the given types is about. */
export function dropped(drop: Fields<'DropStmt'>, types: readonly string[]): readonly (readonly string[])[] {
  if (!types.includes(drop.removeType ?? '')) return []
  return (drop.objects ?? []).map((node) => {
    const list = as('List', node)?.items ?? as('ObjectWithArgs', node)?.objname ?? as('TypeName', node)?.names
    return names(list ?? [node])
  })
}

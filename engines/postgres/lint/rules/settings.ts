import type { FuncCall, Node, VariableSetStmt } from 'libpg-query'
import { as, names } from '../walk.ts'

/** A setting that a statement or a call of set_config is about; an empty name for a call that is about none. */
export interface Setting {
  /** In lower case; `*` where it is computed as the file runs. */
  readonly name: string
  readonly values: readonly string[]
  /** Whether it goes back to what it was. */
  readonly resets: boolean
}

const NOTHING: Setting = { name: '', values: [], resets: false }

/** The setting of a SET, a RESET or a call of set_config. */
export function settingOf(node: VariableSetStmt | FuncCall): Setting {
  if ('funcname' in node) return ofCall(node)
  if (!('kind' in node)) return NOTHING
  const { name = '', kind, args = [] } = node
  return { name: name.toLowerCase(), values: args.map(constant), resets: kind !== 'VAR_SET_VALUE' }
}

function ofCall({ funcname, args = [] }: FuncCall): Setting {
  if (names(funcname).at(-1) !== 'set_config') return NOTHING
  // Arguments given by name are no constants by position, and count as computed.
  const [name, value] = args
  const text = as('A_Const', name)?.sval?.sval
  return { name: text?.toLowerCase() ?? '*', values: [constant(value)], resets: false }
}

/** A constant as text; what is not one is no text that a setting would take. */
function constant(node: Node | undefined): string {
  const { sval, ival, fval } = as('A_Const', node) ?? {}
  if (sval) return sval.sval ?? ''
  if (ival) return String(ival.ival ?? 0)
  return fval?.fval ?? '?'
}

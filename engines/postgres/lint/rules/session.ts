import type { FuncCall, VariableSetStmt } from 'libpg-query'
import { type Context, type Find, type Hit, hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { settingOf } from './settings.ts'

/** Settings that keep a tenant to its own rows, or that change how the rest of the file is read. */
const GUARDS = new Set(['row_security', 'session_replication_role', 'standard_conforming_strings', 'backslash_quote'])

/** What would let a file act as somebody else, or elsewhere than in its tenant's schema. */
export const SESSION = rules('escape', 'error', {
  'set-role': {
    title: 'SET ROLE or RESET ROLE',
    why: 'A file runs as the owner of its tenant’s schema. Another role would reach what is not the tenant’s.',
    instead: 'leave it out: the operator sets the role',
    bad: 'RESET ROLE;',
    good: 'SELECT current_user;',
    find: onSetting((name) => name === 'role'),
  },
  'set-session-authorization': {
    title: 'SET or RESET SESSION AUTHORIZATION',
    why: 'It makes the file act as the user the operator logged in as, or as another.',
    instead: 'leave it out: the operator sets the role',
    bad: 'SET SESSION AUTHORIZATION DEFAULT;',
    good: 'SELECT session_user;',
    find: onSetting((name) => name === 'session_authorization'),
  },
  'set-search-path': {
    title: 'SET or RESET search_path',
    why: 'Names without a schema would be looked up, and made, in another schema than the tenant’s.',
    instead: 'leave it out: the operator sets it to the tenant’s schema',
    bad: 'SET search_path TO globex;',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY);',
    find: onSetting((name) => name === 'search_path'),
  },
  'reset-session': {
    title: 'RESET ALL or DISCARD',
    why: 'It takes away all that keeps the file to its tenant: the role, the search_path, the timeouts.',
    instead: 'name the setting: RESET work_mem',
    bad: 'RESET ALL;',
    good: 'RESET work_mem;',
    find: {
      VariableSetStmt: (set, { root }) => hit(set === root && set.kind === 'VAR_RESET_ALL', 'all settings go back'),
      DiscardStmt: () => ['what was set for the file is discarded'],
    },
  },
  'set-guard': {
    title: 'A setting that keeps tenants apart',
    why: 'Row security reads tenantry.tenant and row_security; others decide how the rest of the file is read.',
    instead: 'leave it out',
    bad: "SET tenantry.tenant = 'globex';",
    good: "SET LOCAL work_mem = '64MB';",
    find: onSetting((name) => GUARDS.has(name) || name.startsWith('tenantry.')),
  },
  'set-config-computed': {
    title: 'set_config, or pg_settings, for a setting that is not named in the file',
    why: 'Nobody can tell which setting it is before it runs: the role is one of them.',
    instead: "the name as a plain string: set_config('work_mem', '64MB', true)",
    bad: "SELECT set_config('ro' || 'le', 'postgres', true);",
    good: "SELECT set_config('work_mem', '64MB', true);",
    find: {
      FuncCall: (call) => hit(settingOf(call).name === '*', 'its name is computed as the file runs', call.location),
      UpdateStmt: ({ relation }) =>
        hit(relation?.relname === 'pg_settings', 'an update of pg_settings sets them', relation?.location),
    },
  },
  'transaction-statement': {
    title: 'BEGIN, COMMIT, ROLLBACK or SAVEPOINT',
    why: 'The operator runs a file in a transaction with its ledger row, and for it sets role and search_path: ending it ends these.',
    instead: 'leave them out; what cannot run in a transaction goes into a file with -- tx: none',
    bad: 'COMMIT;',
    good: "INSERT INTO states (name) VALUES ('commit');",
    find: {
      TransactionStmt: () => ['the transaction is the operator’s'],
      DoStmt: (_, { body }) => hit(body?.transactions === true, 'the block ends transactions'),
      CreateFunctionStmt: (_, { body }) => hit(body?.transactions === true, 'the body ends transactions'),
    },
  },
})

/** Looks at SET and RESET and at set_config. A function may have a search_path of its own, but none of the others. */
function onSetting(matches: (name: string) => boolean): Find {
  const look = (node: VariableSetStmt | FuncCall): readonly Hit[] => {
    const { name, values, resets } = settingOf(node)
    if (!matches(name)) return []
    const said = resets ? `${quoted(name)} is reset` : `${quoted(name)} is set to ${quoted(values.join(', '))}`
    return hit(true, said, 'funcname' in node ? node.location : undefined)
  }
  return {
    VariableSetStmt: (set, { root }: Context) => (set === root || set.name !== 'search_path' ? look(set) : []),
    FuncCall: (call) => look(call),
  }
}

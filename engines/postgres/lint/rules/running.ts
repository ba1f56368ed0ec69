import { type Context, hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as } from '../walk.ts'
import { settingOf } from './settings.ts'
import { onCommand, wasCreated } from './tables.ts'

const TIMEOUTS = ['lock_timeout', 'statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout']
const NONE = /^0*(?:\s*(?:us|ms|s|min|h|d))?$/

/** How long a file may wait. */
export const TIMEOUT = rules('timeout', 'error', {
  'timeout-disabled': {
    title: 'A timeout is switched off',
    why: 'A statement that waits for a lock makes all wait who come after it; without a timeout that has no end.',
    instead: 'set a timeout that is long enough, or none: the operator sets one',
    bad: 'SET LOCAL lock_timeout = 0;',
    good: "SET LOCAL lock_timeout = '2s';",
    find: {
      VariableSetStmt: (set, { root }) => {
        const { name, values, resets } = settingOf(set)
        if (set !== root || !TIMEOUTS.includes(name)) return []
        const off = !resets && NONE.test(values[0] ?? '')
        return hit(off || set.kind === 'VAR_SET_DEFAULT' || set.kind === 'VAR_RESET', `${quoted(name)} no longer holds`)
      },
      FuncCall: (call) => {
        const { name, values } = settingOf(call)
        return hit(
          TIMEOUTS.includes(name) && NONE.test(values[0] ?? ''),
          `${quoted(name)} no longer holds`,
          call.location,
        )
      },
    },
  },
  'missing-lock-timeout': {
    severity: 'warning',
    title: 'A table is locked outside a transaction, for which the file sets no lock_timeout',
    why: 'Such a file is not undone and tried again as a whole when a lock is not granted: it has to say how long it may wait.',
    instead: "SET lock_timeout = '2s' before the statement",
    bad: '-- tx: none\nALTER TABLE orders VALIDATE CONSTRAINT orders_customer;',
    good: "-- tx: none\nSET lock_timeout = '2s';\nALTER TABLE orders VALIDATE CONSTRAINT orders_customer;",
    find: {
      AlterTableStmt: ({ relation }, context) =>
        hit(
          waitsForever(context) && !wasCreated(relation, context),
          'it waits for its lock without a limit of its own',
        ),
    },
  },
})

/** What may run in a transaction, and what only outside of one. */
export const TRANSACTIONS = rules('pitfall', 'error', {
  'concurrently-in-transaction': {
    title: 'A statement that cannot run in a transaction',
    why: 'A file runs in one transaction. CONCURRENTLY, VACUUM and some others are refused there by the server.',
    instead: 'put it into a file of its own with -- tx: none at the top',
    bad: 'CREATE INDEX CONCURRENTLY orders_state ON orders (state);',
    good: '-- tx: none\nCREATE INDEX CONCURRENTLY orders_state ON orders (state);',
    find: {
      IndexStmt: ({ concurrent }, context) => hit(concurrent === true && context.header.transaction, REFUSED),
      DropStmt: ({ concurrent }, context) => hit(concurrent === true && context.header.transaction, REFUSED),
      VacuumStmt: ({ is_vacuumcmd: vacuum }, context) => hit(vacuum === true && context.header.transaction, REFUSED),
      ReindexStmt: ({ params = [] }, context) =>
        hit(
          params.some((node) => as('DefElem', node)?.defname === 'concurrently') && context.header.transaction,
          REFUSED,
        ),
      ...onCommand(({ command: { subtype, def }, context }) =>
        hit(
          subtype === 'AT_DetachPartition' &&
            as('PartitionCmd', def)?.concurrent === true &&
            context.header.transaction,
          REFUSED,
        ),
      ),
    },
  },
})

const REFUSED = 'the server refuses it within the transaction of the file'

function waitsForever({ header, lockTimeout, inside }: Context): boolean {
  return !header.transaction && !lockTimeout && inside === 'file'
}

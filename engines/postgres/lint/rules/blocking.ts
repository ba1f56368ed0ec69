import { hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as } from '../walk.ts'
import { onCommand, tableName, wasCreated } from './tables.ts'

const NO_TRANSACTION = 'in a file with -- tx: none at its top'

/** What keeps readers or writers of a table waiting for as long as its rows take. Constraints and columns are in rewriting.ts. */
export const BLOCKING = rules('blocking', 'error', {
  'create-index-not-concurrently': {
    title: 'An index is built while writers wait',
    why: 'CREATE INDEX lets nobody write to the table until all its rows are read.',
    instead: `CREATE INDEX CONCURRENTLY, ${NO_TRANSACTION}`,
    bad: 'CREATE INDEX orders_state ON orders (state);',
    good: '-- tx: none\nCREATE INDEX CONCURRENTLY orders_state ON orders (state);',
    find: {
      IndexStmt: ({ relation, concurrent }, context) =>
        hit(
          concurrent !== true && !wasCreated(relation, context),
          `writers of ${quoted(tableName(relation))} wait for the index`,
        ),
    },
  },
  'drop-index-not-concurrently': {
    title: 'An index is dropped under a lock on its table',
    why: 'DROP INDEX waits for all who use the table, and whoever comes later waits behind it.',
    instead: `DROP INDEX CONCURRENTLY, ${NO_TRANSACTION}`,
    bad: 'DROP INDEX orders_state;',
    good: '-- tx: none\nDROP INDEX CONCURRENTLY orders_state;',
    find: {
      DropStmt: ({ removeType, concurrent }) =>
        hit(removeType === 'OBJECT_INDEX' && concurrent !== true, 'all who use the table wait for the lock'),
    },
  },
  'reindex-not-concurrently': {
    title: 'An index is rebuilt while writers wait',
    why: 'REINDEX lets nobody write to the table, and nobody read through the index.',
    instead: `REINDEX … CONCURRENTLY, ${NO_TRANSACTION}`,
    bad: 'REINDEX TABLE orders;',
    good: '-- tx: none\nREINDEX TABLE CONCURRENTLY orders;',
    find: {
      ReindexStmt: ({ params = [], relation, name }) =>
        hit(
          !params.some((node) => as('DefElem', node)?.defname === 'concurrently'),
          `writers wait for the rebuild of ${quoted(name ?? tableName(relation))}`,
        ),
    },
  },
  'refresh-not-concurrently': {
    title: 'A materialized view is refreshed while readers wait',
    why: 'REFRESH lets nobody read the view until its query is done.',
    instead: 'give the view a unique index, and REFRESH MATERIALIZED VIEW CONCURRENTLY',
    bad: 'REFRESH MATERIALIZED VIEW totals;',
    good: 'REFRESH MATERIALIZED VIEW CONCURRENTLY totals;',
    find: {
      RefreshMatViewStmt: ({ relation, concurrent }, context) =>
        hit(
          concurrent !== true && !wasCreated(relation, context),
          `readers of ${quoted(tableName(relation))} wait for the query`,
        ),
    },
  },
  'detach-partition-not-concurrently': {
    title: 'A partition is detached under a lock on the whole table',
    why: 'DETACH PARTITION waits for all who use the table, and whoever comes later waits behind it.',
    instead: `DETACH PARTITION … CONCURRENTLY, ${NO_TRANSACTION}`,
    bad: 'ALTER TABLE events DETACH PARTITION events_2020;',
    good: "-- tx: none\nSET lock_timeout = '2s';\nALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;",
    find: onCommand(({ command: { subtype, def }, table }) =>
      hit(
        subtype === 'AT_DetachPartition' && as('PartitionCmd', def)?.concurrent !== true,
        `all who use ${quoted(tableName(table))} wait for the lock`,
      ),
    ),
  },
  'rewrite-table': {
    title: 'VACUUM FULL or CLUSTER',
    why: 'The table is copied as a whole, and nobody can read or write it meanwhile.',
    instead: 'VACUUM without FULL; to give space back, pg_repack at a quiet hour, apart from migrations',
    bad: '-- tx: none\nCLUSTER orders;',
    good: '-- tx: none\nVACUUM (ANALYZE) orders;',
    find: {
      ClusterStmt: ({ relation }) => hit(true, `nobody can use ${quoted(tableName(relation))} while it is copied`),
      VacuumStmt: ({ options = [] }) =>
        hit(
          options.some((node) => as('DefElem', node)?.defname === 'full'),
          'nobody can use the table while it is copied',
        ),
    },
  },
  'lock-table': {
    title: 'LOCK TABLE',
    why: 'The lock is held until the transaction ends, and whoever needs the table waits.',
    instead: 'leave it out: statements take the locks they need; for one row use SELECT … FOR UPDATE',
    bad: 'LOCK TABLE orders;',
    good: 'SELECT id FROM orders WHERE id = 1 FOR UPDATE;',
    find: { LockStmt: () => ['the table stays locked until the transaction ends'] },
  },
})

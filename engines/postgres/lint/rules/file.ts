import { rules } from '../rule.ts'

/** What is wrong with a file as such. These are found by reading it, not by looking at its statements. */
export const FILE = rules('file', 'error', {
  'syntax-error': {
    title: 'The file is not SQL',
    why: 'The server would refuse it; nothing else of the file was looked at.',
    instead: 'correct the statement at this place; files are read as PostgreSQL 18 does',
    bad: 'CREATE TABEL orders (id bigint PRIMARY KEY);',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY);',
  },
  'unreadable-file': {
    title: 'The file cannot be read as a whole',
    why: 'It is larger than 5 MiB, nested more deeply than the parser can follow, or has a NUL character.',
    instead: 'split it into several files, and load large data by other means',
    bad: 'SELECT 1; -- \0',
    good: 'SELECT 1; -- 0',
  },
  'invalid-header': {
    title: 'A line of the header cannot be used',
    why: 'A header that is misspelt would be taken for a remark, and the file run in another way than was meant.',
    instead: '-- tx: none, -- phase: expand|backfill|contract, -- requires: VERSION, each at most once',
    bad: '-- phase: later\nSELECT 1;',
    good: '-- phase: expand\nSELECT 1;',
  },
  'invalid-ignore': {
    title: 'An ignore that cannot be used',
    why: 'It names no rule or no reason, stands at a place where it says nothing, or is for a rule that cannot be ignored.',
    instead:
      '-- lint:ignore RULE reason, on a line of its own before the statement; -- lint:ignore-file before the first',
    bad: '-- lint:ignore no-such-rule because\nSELECT 1;',
    good: '-- lint:ignore drop-table it was never used\nDROP TABLE orders;',
  },
  'unused-ignore': {
    severity: 'warning',
    title: 'An ignore that ignores nothing',
    why: 'It would hide what is written there later.',
    instead: 'remove it',
    bad: '-- lint:ignore drop-table it was never used\nSELECT 1;',
    good: '-- lint:ignore drop-table it was never used\nDROP TABLE orders;',
  },
})

import { ruleSections } from '../../postgres/lint/reference.ts'
import { LARGEST_FILE } from './lint.ts'
import type { Category } from './rule.ts'
import { RULES } from './rules.ts'

const CATEGORIES: Readonly<Record<Category, string>> = {
  file: 'The file itself. The errors among them always hold.',
  escape: 'What would leave the database of the tenant. These always hold: no ignore and no policy changes them.',
  repeat:
    'What does not come to the same when it is run again. These always hold, but for `insert`, which may be ignored with a reason.',
  destructive: 'What loses data. It needs approval, ignored or not.',
  incompatible: 'What breaks versions of a program that still run. It needs approval, ignored or not.',
  pitfall: 'What is regretted later.',
}

const INTRODUCTION = `# Lint of files for ClickHouse

\`npx tenantry lint --engine clickhouse FILES\` reads SQL files for ClickHouse; files whose names end with \`.ch.sql\` need no
\`--engine\`. Output, options and ignores are those of [the lint for PostgreSQL](lint.md); the rules are these.

ClickHouse has no transactions. A file that was interrupted runs again from its beginning, and so does every file from the one
on that made a table which is gone. So every statement has to come to the same when it is run again, and a file with a statement
that does not is refused, here and before its first statement is run.

There is no parser of ClickHouse's language beside the server's own: these rules look at the tokens of each statement, and what they
do not know is an error. A file runs with the rights of the administrative user, on the database of its tenant. Nothing but the
rules of \`escape\` keeps it there: they are made to catch mistakes, not to let people write files who must not be trusted with the
server.

Two values of the tenant's can be had as the server's own query parameters, which are bound and never pasted: \`{schema:Identifier}\`
(or \`{schema:String}\`), the database, and \`{tenant:String}\`, \`namespace/name\` of the Tenant. Shared tables have no tenant.
The server binds them in expressions and where it expects a name; in comments it knows none, and in the query of a plain view it
would keep them.

Files of more than ${LARGEST_FILE / 1024 / 1024} MiB are refused. \`-- tx: none\` has no meaning here: every statement is run by itself.
`

/** The reference of all rules for ClickHouse, as Markdown. */
export function clickHouseLintReference(): string {
  return [INTRODUCTION, ...ruleSections(CATEGORIES, RULES, (id) => RULES[id].locked)].join('\n')
}

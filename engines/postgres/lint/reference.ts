import { LARGEST_FILE } from './lint.ts'
import type { Category, Rule } from './rule.ts'
import { isLocked, RULES } from './rules.ts'

const CATEGORIES: Readonly<Record<Category, string>> = {
  file: 'The file itself. The errors among them always hold.',
  escape:
    'What would leave the tenant’s own schema, role or rows. These always hold: no ignore and no policy changes them.',
  destructive: 'What loses data. It needs approval, ignored or not.',
  incompatible: 'What breaks versions of a program that still run. It needs approval, ignored or not.',
  blocking: 'What keeps readers or writers waiting for as long as a table’s rows take.',
  timeout: 'How long a file may wait.',
  pitfall: 'What the server refuses later, or what is regretted later.',
}

const INTRODUCTION = `# Lint

\`npx tenantry lint FILES\` reads SQL files with PostgreSQL's own parser and says what they would do to tenants that are at work.
Nothing is run, and no server is needed.

\`\`\`
orders.sql:3:1 error drop-column column "note" of "orders" is dropped with its values
  instead: stop using the column, deploy that everywhere, then drop it in a later file that is approved
\`\`\`

| | |
|---|---|
| \`FILES\` | SQL files; \`-\` is the standard input |
| \`--engine postgresql\\|clickhouse\` | whose rules hold: without it, [ClickHouse's](lint-clickhouse.md) for files named \`*.ch.sql\`, and these for all others |
| \`--format text\\|json\` | for people, or with all fields |
| \`--severity RULE=error\\|warning\\|off\` | another severity for a rule; may be given more than once |
| exit code | 0 without errors, 1 with errors, 2 when the command was used wrongly or a file cannot be opened |

A rule is ignored for one statement by a comment on a line of its own before it, and for a file by one before its first
statement. The reason is required, and kept with what was found:

\`\`\`sql
-- lint:ignore-file prefer-identity the numbers come from the old system
-- lint:ignore drop-table it was never used
DROP TABLE drafts;
\`\`\`

Comment lines at the top of a file say how it is run: \`-- tx: none\` (its statements run one by one, outside a transaction),
\`-- phase: expand|backfill|contract\`, \`-- requires: VERSION\` (the number of a file that comes before).

A table that the same file makes may be changed freely. Files of more than ${LARGEST_FILE / 1024 / 1024} MiB are refused. Statements in the body of a DO
block are judged like others; in the body of a function, which runs when it is called, only what escapes or loses data. What a
program makes of strings as it runs cannot be judged, nor what a function does that was there before: a file runs with the
rights of its tenant's owner in any case. A column is a character, not a byte.
`

/** The reference of all rules, as Markdown. */
export function lintReference(): string {
  return [INTRODUCTION, ...ruleSections(CATEGORIES, RULES, isLocked)].join('\n')
}

type Shown = Pick<Rule, 'severity' | 'title' | 'why' | 'instead' | 'bad' | 'good'> & { readonly category: string }

/** A section for each category, in their order, with an entry for each rule of it; the same for all engines. */
export function ruleSections<Id extends string>(
  categories: Readonly<Record<string, string>>,
  rules: Readonly<Record<Id, Shown>>,
  locked: (id: Id) => boolean,
): readonly string[] {
  const all = Object.entries<Shown>(rules) as [Id, Shown][]
  return Object.entries(categories).map(([category, about]) => {
    const entries = all.filter(([, rule]) => rule.category === category)
    return [`## ${category}\n`, `${about}\n`, ...entries.map(([id, rule]) => entry(id, rule, locked(id)))].join('\n')
  })
}

function entry(id: string, { severity, title, why, instead, bad, good }: Shown, locked: boolean): string {
  const fixed = locked ? ', always' : ''
  return `### ${id}\n
${title}. **${severity === 'error' ? 'Error' : 'Warning'}${fixed}.** ${why}\n
Instead: ${instead}.\n
\`\`\`sql
-- bad
${visible(bad)}

-- good
${visible(good)}
\`\`\`
`
}

function visible(example: string): string {
  return example.replaceAll('\0', '\\0')
}

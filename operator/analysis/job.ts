/** What the thread that reads SQL files is asked, and answers: plain data both. */

import type { DownFile, MigrationFile } from '@tenantry/engines/model.ts'
import type { Findings } from '@tenantry/engines/postgres/lint/findings.ts'
import type { PolicyOf } from '@tenantry/engines/postgres/lint/rule.ts'

/** A file by its name, and its text. */
export interface Text {
  readonly name: string
  readonly body: string
}

/** What has to be known of a file before it can be run. */
export type Runnable = Pick<MigrationFile, 'placeholders' | 'statements'>

/** What has to hold nothing before a down file may run, or why nobody can tell. */
export type Undoing = Pick<DownFile, 'guards' | 'placeholders'> | { readonly reason: string }

/** By the name of the job: what it is given beside the file, and what comes of it. */
export interface Jobs {
  lint: { readonly given: PolicyOf<string>; readonly result: Findings<string, string> }
  'lint-clickhouse': { readonly given: PolicyOf<string>; readonly result: Findings<string, string> }
  run: { readonly given: { readonly transaction: boolean }; readonly result: Runnable }
  undo: { readonly given: Readonly<Record<string, never>>; readonly result: Undoing }
}

export type JobName = keyof Jobs

export type Request = {
  readonly [J in JobName]: {
    readonly id: number
    readonly job: J
    readonly file: Text
    readonly given: Jobs[J]['given']
  }
}[JobName]

export type Reply =
  | { readonly id: number; readonly result: Jobs[JobName]['result'] }
  | { readonly id: number; readonly error: string }

import { z } from 'zod'
import { interval } from './common.ts'

/** What is done about tables that are not as the SQL files make them. */
export const DRIFT_POLICIES = ['Report', 'Repair', 'Ignore'] as const

/** Parts of `Database.spec.schema`. PostgreSQL only. */
export const driftFields = {
  drift: z
    .enum(DRIFT_POLICIES)
    .default('Report')
    .describe(
      'What is done about tables that are not as the SQL files make them. Report: they are named in the condition SchemaDrifted. Repair: what is missing is made again where nothing is changed or lost; the rest is reported. Ignore: nobody looks. PostgreSQL only.',
    ),
  driftInterval: interval
    .default('1h')
    .describe('How often tables are compared with what the SQL files make, for example 1h; at least 1s.'),
} as const

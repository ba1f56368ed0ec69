import { DATABASE_LIFECYCLES } from './databases.ts'
import { DELETION_LIFECYCLES, NAMESPACE_LIFECYCLES } from './deletions.ts'
import { DRIFT_LIFECYCLES } from './drift.ts'
import type { Lifecycle } from './steps.ts'
import { TENANT_LIFECYCLES } from './tenants.ts'

const half = (all: readonly Lifecycle[], which: 0 | 1): readonly Lifecycle[] =>
  all.filter((_, index) => index % 2 === which)

/** A few of each kind, for a sample that must do with one suite. */
const MIXED: readonly string[] = ['everywhere', 'limits', 'dropped', 'reborn', 'own-database', 'role-dropped']

/** Lifecycles that run side by side in one plan: few enough for a plan to be cheap, and enough for it to have neighbours. */
export const SUITES: Readonly<Record<string, readonly Lifecycle[]>> = {
  tenants: half(TENANT_LIFECYCLES, 0),
  'more-tenants': half(TENANT_LIFECYCLES, 1),
  deletions: half(DELETION_LIFECYCLES, 0),
  'more-deletions': half(DELETION_LIFECYCLES, 1),
  databases: half(DATABASE_LIFECYCLES, 0),
  'more-databases': half(DATABASE_LIFECYCLES, 1),
  drift: half(DRIFT_LIFECYCLES, 0),
  'more-drift': half(DRIFT_LIFECYCLES, 1),
  namespaces: NAMESPACE_LIFECYCLES,
  mixed: [...TENANT_LIFECYCLES, ...DELETION_LIFECYCLES, ...DATABASE_LIFECYCLES, ...DRIFT_LIFECYCLES].filter(
    ({ name }) => MIXED.includes(name),
  ),
}

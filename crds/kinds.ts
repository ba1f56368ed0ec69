import { databaseKind } from './database.ts'
import type { KindDefinition } from './kind.ts'
import { tenantKind } from './tenant.ts'

/** Every kind of the group. */
export const KINDS: readonly KindDefinition[] = [tenantKind, databaseKind]

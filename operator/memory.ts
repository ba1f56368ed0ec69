import { Semaphore } from '@tenantry/engines/semaphore.ts'
import { Brakes } from './kinds/database/rollout/brakes.ts'
import { DriftRecords } from './kinds/drift/records.ts'
import { Placements } from './kinds/placements.ts'
import type { World } from './world.ts'

/** What a process knows of its own work: all of it is lost with the process, and found again. */
export function createMemory(): Pick<
  World,
  'placements' | 'brakes' | 'lastCounted' | 'lastResync' | 'heldSecrets' | 'comparing' | 'drift' | 'driftDue'
> {
  return {
    placements: new Placements(),
    brakes: new Brakes(),
    lastCounted: new Map(),
    lastResync: new Map(),
    heldSecrets: new Map(),
    comparing: new Semaphore(1),
    drift: new DriftRecords(),
    driftDue: new Map(),
  }
}

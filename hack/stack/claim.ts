import { linkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readIfThere, writePrivate } from './files.ts'
import { isAlive, type ProcessRecord, startTime } from './identity.ts'

const STALE_GRACE_MS = 3000

/** A folder that belongs to this process, and the list of the processes it runs there. */
export interface Claim {
  /** Replaces the list of processes that a later start must end should this one die without ending them. */
  record(children: readonly ProcessRecord[]): void
  release(): void
}

/**
 * Claims a stack's folder, after ending what a killed earlier run left behind in it. Rejects when another living process
 * holds the folder.
 */
export async function claimFolder(dir: string): Promise<Claim> {
  const lock = lockPath(dir)
  const children = join(dir, 'children.json')
  lockOrThrow(lock, dir)
  await endStale(parseRecords(readIfThere(children)))
  return {
    record: (records) => writePrivate(children, JSON.stringify(records, null, 2)),
    release: () => {
      rmSync(children, { force: true })
      rmSync(lock, { force: true })
    },
  }
}

/** True while a living process runs a stack in the folder. */
export function isClaimed(dir: string): boolean {
  const holder = parseHolder(readIfThere(lockPath(dir)))
  return holder !== undefined && isAlive(holder)
}

function lockPath(dir: string): string {
  return join(dir, 'stack.lock')
}

function lockOrThrow(lock: string, dir: string): void {
  const mine = `${lock}.${process.pid}`
  writePrivate(mine, JSON.stringify({ pid: process.pid, started: startTime(process.pid) ?? '' }))
  try {
    for (let attempt = 0; attempt < 2; attempt++) {
      if (link(mine, lock)) return
      const holder = parseHolder(readIfThere(lock))
      if (holder !== undefined && isAlive(holder)) {
        throw new Error(
          `Start the stack in ${dir}: process ${holder.pid} already runs one there. End it first, or use another folder.`,
        )
      }
      rmSync(lock, { force: true })
    }
    throw new Error(`Start the stack in ${dir}: another process is starting one there at this moment.`)
  } finally {
    rmSync(mine, { force: true })
  }
}

/** A link appears whole or not at all, so that no reader ever sees a lock without its holder. */
function link(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function parseHolder(text: string | undefined): { pid: number; started: string } | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return value as { pid: number; started: string }
  } catch {
    return undefined
  }
}

function parseRecords(text: string | undefined): ProcessRecord[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? (value as ProcessRecord[]) : []
  } catch {
    return []
  }
}

/** The last started first, as in every other end of a stack. */
async function endStale(records: readonly ProcessRecord[]): Promise<void> {
  for (const record of records.toReversed()) {
    signal(record, record.stopSignal)
    const deadline = performance.now() + STALE_GRACE_MS
    while (isAlive(record)) {
      if (performance.now() > deadline) signal(record, 'SIGKILL')
      await sleep(50)
    }
  }
}

function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  try {
    if (isAlive(record)) process.kill(record.pid, name)
  } catch {
    // It ended between the look and the signal.
  }
}

import { createHash, randomBytes } from 'node:crypto'
import { AppError, asAppError } from '@tenantry/crds/errors.ts'
import { decodeMark, encodeMark, sameOwner } from '../mark.ts'
import type { Applied, Batch, Owner } from '../model.ts'
import type { Call, Link } from './client.ts'
import type { ChChange } from './compare.ts'
import { deleteLedger, deleteRegistry, writeRegistry } from './control.ts'
import { isTaken } from './errors.ts'
import type { FencedLink } from './fence.ts'
import { runFile, runFirstFile } from './files.ts'

import { databaseMark, newDatabaseMark } from './ownership.ts'
import { ADMIN_POLICY, dropPolicy, GUARD_POLICY, guardPolicies } from './policies.ts'
import { literal, qualified } from './quote.ts'
import type { Recorder } from './record.ts'
import type { ReplicaSet } from './replicas.ts'
import { type ChResource, type Of, rowsDetail } from './resources.ts'
import { revertFile } from './reversal.ts'
import type { FileRun } from './run-statements.ts'
import { classify, type FoundTable } from './snapshot.ts'
import { accessStatements, createDatabase, dropStatements, markDatabase, type PasswordHash } from './statements.ts'

export interface ApplyContext {
  readonly link: FencedLink
  readonly record: Recorder
  readonly admin: string
  /** False where the server keeps no users, and so no row policies. */
  readonly accessControl: boolean
  readonly installation: string
  readonly replicaSets: readonly ReplicaSet[]
  /** So long a file waits for a mutation or a replica. */
  readonly waitMs: number
  readonly signal: AbortSignal
}

/** Applies in order until the first failure. Every step may be killed and repeated. */
export async function applyAll(context: ApplyContext, batch: Batch<ChResource>): Promise<Applied<ChResource>> {
  const done: ChChange[] = []
  const empty = new Set<string>()
  for (const change of batch.changes) {
    try {
      // So that a batch of an older epoch fails for that reason alone. The first look of a SQL file asks this too.
      if (done.length === 0 && (change.op === 'drop' || change.target.kind !== 'file'))
        await context.link.ready({ doing: change.summary, signal: context.signal })
      await applyOne({ ...context, empty }, batch, change)
      done.push(change)
    } catch (error) {
      return { done, failed: { change, error: asAppError(error, change.summary) } }
    }
  }
  return { done }
}

interface Progress extends ApplyContext {
  /** Databases that this batch made and has not touched since. */
  readonly empty: Set<string>
}

async function applyOne(context: Progress, batch: Batch<ChResource>, change: ChChange): Promise<void> {
  const { target } = change
  if (target.kind === 'reversal') return revertFile(context.link, fileRun(context, batch, target), context.signal)
  if (change.op === 'drop') return drop(context, target)
  switch (target.kind) {
    case 'database':
      if (await convergeDatabase(context, batch.owner, target, change.op === 'create'))
        context.empty.add(target.spec.base)
      return
    case 'file': {
      const run = fileRun(context, batch, target, change.op === 'alter')
      return context.empty.delete(run.database)
        ? runFirstFile(context.link, context.record, run, context.signal)
        : runFile(context.link, run, context.signal)
    }
    case 'rows':
      return register(context, batch.owner, target, { detail: rowsDetail(target) })
    case 'guard':
      await register(context, batch.owner, target)
      return closeTables(context, target.spec.base)
    default:
      return convergeAccess(context, batch, target)
  }
}

function fileRun(
  { installation, replicaSets, waitMs }: ApplyContext,
  { run: by }: Batch<ChResource>,
  { spec: { base: database, file, tenant } }: Of<'file' | 'reversal'>,
  again = false,
): FileRun {
  return { database, file, tenant, again, installation, by, replicaSets, waitMs }
}

/** Resolves to whether it was made just now. */
async function convergeDatabase(
  { link, signal }: ApplyContext,
  owner: Owner,
  { spec: { base } }: Of<'database'>,
  fresh: boolean,
): Promise<boolean> {
  const doing = `create database ${base}`
  if (await isNew(link.run(createDatabase(base, newDatabaseMark(owner)), { doing, signal }))) return true
  const found = await link.row<{ comment: string }>('SELECT comment FROM system.databases WHERE name = {base:String}', {
    doing,
    signal,
    params: { base },
  })
  const mark = decodeMark(found?.comment)
  const want = databaseMark(owner, mark)
  if (found?.comment === want) return false
  if (fresh && !(mark && sameOwner(mark, owner))) {
    throw new AppError('Conflict', `${doing}: it exists and is not ours; adopt it by annotation, or rename or drop it`)
  }
  await link.run(markDatabase(base, want), { doing: `mark database ${base}`, signal })
  return false
}

async function isNew(creation: Promise<void>): Promise<boolean> {
  try {
    await creation
    return true
  } catch (error) {
    if (isTaken(error)) return false
    throw error
  }
}

interface Registration {
  readonly facts?: Readonly<Record<string, string>>
  readonly detail?: string
}

function register(
  { link, signal }: ApplyContext,
  owner: Owner,
  { id, spec: { base } }: ChResource,
  { facts = {}, detail = '' }: Registration = {},
): Promise<void> {
  return writeRegistry(link, { id, base, mark: encodeMark(owner, facts), detail }, { signal })
}

/** Registered before it exists, so that a kill in between leaves nothing that is nobody's. */
async function convergeAccess(
  context: ApplyContext,
  { owner, secrets }: Batch<ChResource>,
  target: Of<'role' | 'profile' | 'quota' | 'user'>,
): Promise<void> {
  await register(context, owner, target)
  const password = target.kind === 'user' ? hashPassword(secrets(target.spec.login)) : undefined
  await runAll(context, accessStatements(target, password), `set up ${target.id}`)
  if (target.kind === 'user') await register(context, owner, target, { facts: { credential: target.spec.fingerprint } })
}

function hashPassword(password: string): PasswordHash {
  const salt = randomBytes(16).toString('hex')
  return {
    salt,
    hash: createHash('sha256')
      .update(password + salt)
      .digest('hex'),
  }
}

async function runAll({ link, signal }: ApplyContext, sqls: readonly string[], doing: string): Promise<void> {
  for (const sql of sqls) await link.run(sql, { doing, signal })
}

async function drop(context: ApplyContext, target: ChResource): Promise<void> {
  const { link, signal } = context
  // First, because a database that is gone asks for no drop any more: rows that are left by then stay for good.
  if (target.kind === 'database') await deleteLedger(link, target.spec.base, { signal })
  if (target.kind === 'rows') await deleteRows(context, target)
  else if (target.kind === 'guard') await openTables(context, target.spec.base)
  else await runAll(context, dropStatements(target), `drop ${target.id}`)
  if (target.kind !== 'database') await deleteRegistry(link, target.id, { signal })
}

/** Rewrites the parts that hold the tenant's rows, so that they are gone from disk, and waits for it. */
async function deleteRows(context: ApplyContext, { spec }: Of<'rows'>): Promise<void> {
  const { link, signal, accessControl } = context
  const { shared, tenantId } = spec
  // An administrator whom a policy hides rows from would find nothing to delete.
  if (accessControl) await closeTables(context, shared)
  const doing = `delete rows of ${tenantId} in ${shared}`
  const tables = await link.rows<{ name: string }>(
    `SELECT c.table AS name FROM system.columns AS c WHERE c.database = {shared:String} AND c.name = 'tenant_id'
      AND c.table IN (SELECT name FROM system.tables WHERE database = {shared:String} AND endsWith(engine, 'MergeTree'))`,
    { doing, signal, params: { shared } },
  )
  for (const { name } of tables) {
    const table = qualified(shared, name)
    const where = `tenant_id = ${literal(tenantId)}`
    const present = await link.rows(`SELECT 1 FROM ${table} WHERE ${where} LIMIT 1`, { doing, signal })
    if (present.length === 0) continue
    await refuseWhileDeleting(link, { shared, table: name, tenantId }, { doing, signal })
    await link.run(`ALTER TABLE ${table} DELETE WHERE ${where}`, { doing, signal })
  }
}

/** An attempt that ran out of time goes on in the server: a second one would only queue behind it. */
async function refuseWhileDeleting(link: Link, params: Record<string, unknown>, call: Call): Promise<void> {
  const pending = await link.rows<{ reason: string }>(
    `SELECT latest_fail_reason AS reason FROM system.mutations WHERE database = {shared:String}
      AND table = {table:String} AND NOT is_done AND position(command, {tenantId:String}) > 0`,
    { ...call, params },
  )
  const [first] = pending
  if (!first) return
  const state = first.reason ? `fails: ${first.reason.slice(0, 300)}` : 'has not ended yet'
  throw new AppError('Timeout', `${call.doing}: the deletion in ${String(params.table)} ${state}`)
}

async function closeTables(context: ApplyContext, shared: string): Promise<void> {
  const { link, signal, admin } = context
  const doing = `close the shared tables of ${shared}`
  const tables = await link.rows<FoundTable>(
    `SELECT database, name, engine, comment, sorting_key AS sortingKey FROM system.tables
    WHERE database = {shared:String} ORDER BY name`,
    { doing, signal, params: { shared } },
  )
  for (const table of tables) {
    if (classify(table) === 'tenant') await runAll(context, guardPolicies(shared, table.name, admin), doing)
  }
}

async function openTables(context: ApplyContext, shared: string): Promise<void> {
  const { link, signal } = context
  const doing = `drop the guard of ${shared}`
  const names = [GUARD_POLICY, ADMIN_POLICY]
  const found = await link.rows<{ name: string; table: string }>(
    `SELECT short_name AS name, table FROM system.row_policies
    WHERE database = {shared:String} AND short_name IN {names:Array(String)}`,
    { doing, signal, params: { shared, names } },
  )
  await runAll(
    context,
    found.map((p) => dropPolicy(p.name, shared, p.table)),
    doing,
  )
}

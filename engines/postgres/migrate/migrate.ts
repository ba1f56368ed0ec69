import type { Work } from '../apply.ts'
import { hold, passOf } from '../fence.ts'
import type { Migration, Reversal } from '../model.ts'
import { text } from '../sql/quote.ts'
import { attempt } from './attempts.ts'
import { applying, failureOf, noteOf } from './failure.ts'
import { type EventKind, lastEvent, unlessLast } from './ledger.ts'
import { ledgerStatements } from './ledger-schema.ts'
import { runOutside } from './outside.ts'
import { attemptsOf, type Seat } from './seat.ts'
import { fileTransaction, recordOf, reversalTransaction, schemaTransaction, sentText } from './transaction.ts'

type File = Migration | Reversal

/**
 * Applies or undoes one SQL file as its schema's owner. In a tenant's own database the row is written there; the shard's ledger
 * gets its copy afterwards, and when that is killed in between, the next attempt finds the file applied and only copies the row.
 */
export async function migrate(work: Work, target: File): Promise<void> {
  const { server, signal, stamp } = work
  const { place } = target.spec
  const doing = applying(target)
  if (place === undefined && !isOutside(target)) {
    await server.pooled(doing, signal, (shard) =>
      run({ work, client: shard, pass: passOf(stamp), shard }, target, runOnce),
    )
    return
  }
  await hold(work, doing, async (shard, pass) => {
    const other = place === undefined ? {} : { database: place }
    await server.single(other, doing, signal, async (client) => {
      const seat = { work, client, pass, shard }
      if (place !== undefined) await client.query([...pass.enter, ...ledgerStatements()].join(';\n'))
      await run(seat, target, isOutside(target) ? outsideOrOnce : runOnce)
      if (place !== undefined) await copyRow(seat, target)
    })
  })
}

function isOutside(target: File): boolean {
  return target.kind === 'Migration' && target.spec.statements !== undefined
}

/** A failure is kept in the ledger too, once for as often as it comes in the same way. */
async function run(seat: Seat, target: File, how: (seat: Seat, target: File) => Promise<void>): Promise<void> {
  try {
    await how(seat, target)
  } catch (error) {
    await recordFailure(seat, target, error)
    throw error
  }
}

async function outsideOrOnce(seat: Seat, target: File): Promise<void> {
  if (target.kind === 'Migration' && (await runOutside(seat, target))) return
  await runOnce(seat, target)
}

async function runOnce(seat: Seat, target: File): Promise<void> {
  const { work, client, pass } = seat
  const ran = { target, sent: sentText(target) }
  await attempt(attemptsOf(seat, target.spec.schema, applying(target)), async (lockTimeoutMs) => {
    const frame = { account: work.batch, pass, lockTimeoutMs }
    const message = target.kind === 'Migration' ? fileTransaction(target, frame) : reversalTransaction(target, frame)
    try {
      await client.query(message)
    } catch (error) {
      throw failureOf(ran, error)
    }
  })
}

/** In the shard's ledger, over the connection that has the lock on the schema if that is there too. What went wrong is told in any case. */
async function recordFailure({ work, client, shard, pass }: Seat, { spec }: File, error: unknown): Promise<void> {
  const note = noteOf(error)
  if (!note) return
  const row = recordOf('fail', spec, work.batch, { error: text(note.message) })
  const isSame = `l.event = 'fail' AND l.checksum = ${text(spec.checksum)} AND starts_with(l.error, ${text(note.state)})`
  const statement = unlessLast(row, lastEvent(spec, 'm.event, m.checksum, m.error', 'any'), isSame)
  const [at, frame] = spec.place === undefined ? [client, { pass }] : [shard, { pass: passOf(work.stamp) }]
  await at.query(schemaTransaction(spec.schema, [statement], frame)).catch(() => undefined)
}

interface Row {
  readonly event: EventKind
  readonly checksum: string
  readonly body: string | null
  readonly startedAt: string
  readonly finishedAt: string
}

const ROW = 'm.event, m.checksum, m.body, m.started_at::text AS "startedAt", m.finished_at::text AS "finishedAt"'

async function copyRow({ work, client, shard }: Seat, { spec }: File): Promise<void> {
  const { rows } = await client.query<Row>(lastEvent(spec, ROW))
  const [last] = rows
  if (!last) return
  const { event, checksum, body, startedAt, finishedAt } = last
  const row = recordOf(event, { ...spec, checksum }, work.batch, {
    body: body === null ? 'NULL' : text(body),
    startedAt: text(startedAt),
    finishedAt: text(finishedAt),
  })
  const isSame = `l.event = ${text(event)} AND l.checksum = ${text(checksum)}`
  const statement = unlessLast(row, lastEvent(spec, 'm.event, m.checksum'), isSame)
  await shard.query(schemaTransaction(spec.schema, [statement], { pass: passOf(work.stamp) }))
}

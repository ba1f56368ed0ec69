/** ClickHouse within the test's own process, for tests that need neither HTTP nor the embedded stack. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClickHouseError } from '@clickhouse/client'
import { Session } from 'chdb'
import type { Call, Link } from '../client.ts'
import { toAppError } from '../errors.ts'
import { identifier } from '../quote.ts'

/** What the engine's own link sets for every call. */
const SETTINGS = { mutations_sync: '2', lightweight_deletes_sync: '2', alter_sync: '2' }

/** One call after the other, as the engine's link would send it. */
export function openChdb(): Link {
  const dir = mkdtempSync(join(tmpdir(), 'tenantry-chdb-'))
  const session = new Session(dir)
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(call: Call, work: () => Promise<T>): Promise<T> => {
    const next = last.then(async () => {
      const settings = Object.entries({ ...SETTINGS, ...call.settings }).map(([name, value]) => `${name} = ${value}`)
      await session.queryAsync(`SET ${settings.join(', ')}`)
      await session.queryAsync(`USE ${identifier(call.database ?? 'default')}`)
      return await work()
    })
    last = next.catch(() => undefined)
    return next.catch((error: unknown) => {
      throw toAppError(asServerError(error), call.doing)
    })
  }
  return {
    rows: (sql, call) =>
      inTurn(call, async () => {
        const result = await session.queryBindAsync(sql, { ...call.params }, { format: 'JSON' })
        return result.json<{ data: readonly never[] }>().data
      }),
    run: (sql, call) =>
      inTurn(call, async () => {
        await (call.params ? session.queryBindAsync(sql, { ...call.params }) : session.queryAsync(sql))
      }),
    close: async () => {
      session.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function asServerError(error: unknown): unknown {
  const message = String(error)
  const code = /Code: (\d+)/.exec(message)?.[1]
  return code === undefined ? error : new ClickHouseError({ code, message, type: 'TYPE' })
}

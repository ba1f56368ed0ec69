import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Isolation } from '../../model.ts'
import type { KillOrders } from '../testing/killed-process.ts'
import { byHand, freshShard, make, OPTIONS, planOf, type Shard, sqlFile, type TenantWish } from '../testing/lab.ts'
import { statementSpans } from './utility.ts'

const LOOSE =
  'CREATE INDEX CONCURRENTLY by_note ON orders (note); ALTER TABLE orders ADD COLUMN IF NOT EXISTS paid boolean;'
const FILES = [
  sqlFile(
    '1',
    'CREATE TABLE orders (id int, note text); INSERT INTO orders SELECT n, n FROM generate_series(1, 2000) n;',
  ),
  { ...sqlFile('2', LOOSE), statements: await statementSpans(LOOSE) },
  sqlFile('3', 'CREATE TABLE lines (id int);'),
]
const CHILD = fileURLToPath(new URL('../testing/killed-process.ts', import.meta.url))
/** More queries than the files take. */
const MOST = 60

/** True when it came to its end, false when it was killed. */
async function runChild(orders: KillOrders): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(orders)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let told = ''
  child.stderr.on('data', (data: Buffer) => {
    told += data.toString()
  })
  const [code, killedBy] = await once(child, 'exit')
  if (killedBy !== 'SIGKILL' && code !== 0) throw new Error(`the process failed: ${told}`)
  return code === 0
}

/** What each file makes is there, and whether the ledger says so: of one moment. */
async function state(
  { admin }: Shard,
  { name, input }: TenantWish,
): Promise<Readonly<Record<string, readonly boolean[]>>> {
  const inside = input.isolation === 'Database' ? { ...admin, database: name } : admin
  const there = (relation: string): string => `to_regclass('"${name}".${relation}') IS NOT NULL`
  const said = (version: string): string =>
    `EXISTS (SELECT FROM tenantry.migration WHERE schema = '${name}' AND version = '${version}' AND event = 'apply')`
  const [row] = await byHand(
    inside,
    `SELECT ARRAY[${there('orders')}, ${there('by_note')}, ${there('lines')}] AS made, ARRAY[${['1', '2', '3'].map(said).join(', ')}] AS said`,
  )
  return row as Readonly<Record<string, readonly boolean[]>>
}

test.each<[Isolation, KillOrders['when']]>([
  ['Schema', 'before'],
  ['Schema', 'during'],
  ['Database', 'after'],
])(
  'with isolation %s a process that is killed %s any of its queries leaves a ledger that is true, and the next goes on',
  async (isolation, when) => {
    const shard = await freshShard(isolation)
    let ended = false
    for (let at = 1; !ended; at += 1) {
      expect(at).toBeLessThan(MOST)
      const wish = shard.tenant(`killed-${at}`)
      await make(shard.session, wish)
      if (isolation === 'Database')
        await make(shard.session, wish, shard.tenant('', { ...wish.input, files: [sqlFile('0', '')] }).wanted)
      const { wanted } = shard.tenant('', { ...wish.input, files: FILES })
      const { owner, scope } = wish
      ended = await runChild({ connection: shard.admin, options: OPTIONS, owner, wanted, scope, at, when })
      const { made = [], said = [] } = await state(shard, wish)
      expect([made[0], made[2]], `killed at ${at}`).toEqual([said[0], said[2]])
      if (said[1]) expect(made[1]).toBe(true)
      if (ended) expect(said).toEqual([true, true, true])
      await make(shard.session, wish, wanted)
      expect(await planOf(shard.session, wish, wanted)).toEqual([])
      expect(await state(shard, wish)).toEqual({ made: [true, true, true], said: [true, true, true] })
      const rows = await byHand(
        shard.admin,
        `SELECT version, event FROM tenantry.migration WHERE schema = '${wish.name}' AND version <> '0' AND event <> 'fail' ORDER BY 1`,
      )
      expect(rows).toEqual(FILES.map(({ version }) => ({ version, event: 'apply' })))
      await make(shard.session, wish, [])
    }
  },
  300_000,
)

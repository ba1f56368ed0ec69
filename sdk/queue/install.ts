import { createHash } from 'node:crypto'
import { type ClientBase, escapeIdentifier, escapeLiteral } from 'pg'
import { QueueError, toQueueError } from './errors.ts'
import { CLAIM } from './sql/claim.ts'
import { type Access, defineFunction, inSchema, type SqlFunction, signature } from './sql/define.ts'
import { ENQUEUE } from './sql/enqueue.ts'
import { FINISH } from './sql/finish.ts'
import { HISTORY } from './sql/history.ts'
import { OPERATE } from './sql/operate.ts'
import { TABLES } from './sql/tables.ts'
import { UPKEEP } from './sql/upkeep.ts'

/** Where the queue's state lives unless somebody says otherwise. */
export const DEFAULT_SCHEMA = 'tenantry_queue'

/** The oldest server that has what the queue uses. */
const OLDEST_SERVER = 140_000

/** All functions, in the order in which they need one another. */
export const FUNCTIONS: readonly SqlFunction[] = [...ENQUEUE, ...CLAIM, ...FINISH, ...OPERATE, ...UPKEEP, ...HISTORY]

/**
 * Changes to the tables of installations that exist, in order; the first makes them. A released step is never changed. The schema's
 * comment tells how many were taken.
 */
const STEPS: readonly (readonly string[])[] = [TABLES]

/** Where to install; `payloadLimit` is the most bytes of a payload or result, 1 MiB where nobody says. */
export interface InstallOptions {
  readonly schema?: string
  readonly payloadLimit?: number
}

/**
 * Makes the queue's schema or brings it up to date, in one transaction; does nothing where it is up to date. Workers of the version
 * before go on. The client's role becomes the owner.
 */
export async function installQueue(client: ClientBase, options: InstallOptions = {}): Promise<void> {
  const { schema = DEFAULT_SCHEMA, payloadLimit } = options
  await transaction(client, `install the queue in schema ${schema}`, async () => {
    await requireServer(client)
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`tenantry queue ${schema}`])
    const steps = await stepsTaken(client, schema)
    const fingerprint = fingerprintOf(schema)
    if (steps < STEPS.length || (await installedFingerprint(client, schema)) !== fingerprint) {
      await bringUpToDate(client, { schema, steps, fingerprint })
    }
    const name = escapeIdentifier(schema)
    if (payloadLimit !== undefined) await client.query(`UPDATE ${name}.setting SET payload_limit = $1`, [payloadLimit])
    await client.query(`SELECT ${name}.prepare_days()`)
  })
}

interface State {
  readonly schema: string
  readonly steps: number
  readonly fingerprint: string
}

async function bringUpToDate(client: ClientBase, { schema, steps, fingerprint }: State): Promise<void> {
  const name = escapeIdentifier(schema)
  if (steps === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${name}`)
  for (const step of STEPS.slice(steps)) for (const text of step) await client.query(inSchema(text, schema))
  await client.query(dropFunctions(schema))
  for (const text of FUNCTIONS.flatMap((fn) => defineFunction(schema, fn))) await client.query(text)
  await client.query(`COMMENT ON SCHEMA ${name} IS ${escapeLiteral(commentOf(STEPS.length))}`)
  await client.query(
    `INSERT INTO ${name}.setting (fingerprint) VALUES ($1) ON CONFLICT (one) DO UPDATE SET fingerprint = excluded.fingerprint`,
    [fingerprint],
  )
  const { rows } = await client.query<{ role: string; access: Access }>(
    `SELECT g.role, g.access FROM ${name}.grantee g JOIN pg_roles r ON r.rolname = g.role`,
  )
  for (const { role, access } of rows) for (const text of grants(schema, role, access)) await client.query(text)
}

/** Old versions may have functions of other arguments: all go, and come back in the same transaction. */
function dropFunctions(schema: string): string {
  return `DO ${escapeLiteral(`DECLARE f text; BEGIN
  FOR f IN SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = ${escapeLiteral(escapeIdentifier(schema))}::regnamespace
  LOOP EXECUTE 'DROP FUNCTION ' || f; END LOOP; END`)}`
}

/** Gives a role its part: the functions that this access needs, and nothing on tables. Logins of tenants need bindTenant as well. */
export async function grantQueue(
  client: ClientBase,
  { schema = DEFAULT_SCHEMA, role, access }: { schema?: string; role: string; access: Access },
): Promise<void> {
  const name = escapeIdentifier(schema)
  await transaction(client, `grant ${access} on the queue ${schema} to ${role}`, async () => {
    for (const text of grants(schema, role, access)) await client.query(text)
    await client.query(`INSERT INTO ${name}.grantee (role, access) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
      role,
      access,
    ])
    if (access === 'tenant') return
    await client.query(`INSERT INTO ${name}.binding (login) VALUES ($1) ON CONFLICT (login) DO NOTHING`, [role])
  })
}

/** Binds a login to a tenant: whatever it enqueues, sees and cancels is that tenant's. Repeatable; the last call holds. */
export async function bindTenant(
  client: ClientBase,
  { schema = DEFAULT_SCHEMA, login, tenant }: { schema?: string; login: string; tenant: string },
): Promise<void> {
  await transaction(client, `bind ${login} to tenant ${tenant} in the queue ${schema}`, async () => {
    for (const text of grants(schema, login, 'tenant')) await client.query(text)
    await client.query(
      `INSERT INTO ${escapeIdentifier(schema)}.binding (login, tenant) VALUES ($1, $2)
        ON CONFLICT (login) DO UPDATE SET tenant = excluded.tenant`,
      [login, tenant],
    )
    await client.query(
      `INSERT INTO ${escapeIdentifier(schema)}.grantee (role, access) VALUES ($1, 'tenant') ON CONFLICT DO NOTHING`,
      [login],
    )
  })
}

/** Takes a login its tenant and its rights. */
export async function unbindTenant(
  client: ClientBase,
  { schema = DEFAULT_SCHEMA, login }: { schema?: string; login: string },
): Promise<void> {
  const [name, role] = [escapeIdentifier(schema), escapeIdentifier(login)]
  await transaction(client, `unbind ${login} in the queue ${schema}`, async () => {
    await client.query(`REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${name} FROM ${role}`)
    await client.query(`REVOKE ALL ON SCHEMA ${name} FROM ${role}`)
    await client.query(`DELETE FROM ${name}.binding WHERE login = $1`, [login])
    await client.query(`DELETE FROM ${name}.grantee WHERE role = $1`, [login])
  })
}

function grants(schema: string, role: string, access: Access): readonly string[] {
  const to = escapeIdentifier(role)
  return [
    `GRANT USAGE ON SCHEMA ${escapeIdentifier(schema)} TO ${to}`,
    ...FUNCTIONS.filter((fn) => fn.access?.includes(access)).map(
      (fn) => `GRANT EXECUTE ON FUNCTION ${signature(schema, fn)} TO ${to}`,
    ),
  ]
}

const COMMENT = 'tenantry queue, steps: '

function commentOf(steps: number): string {
  return `${COMMENT}${steps}`
}

async function stepsTaken(client: ClientBase, schema: string): Promise<number> {
  const { rows } = await client.query<{ comment: string | null; empty: boolean }>(
    `SELECT obj_description(n.oid, 'pg_namespace') AS comment, NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid) AS empty
      FROM pg_namespace n WHERE n.nspname = $1`,
    [schema],
  )
  const [found] = rows
  if (found === undefined || (found.empty && found.comment === null)) return 0
  const steps = found.comment?.startsWith(COMMENT) ? Number(found.comment.slice(COMMENT.length)) : Number.NaN
  if (Number.isInteger(steps) && steps <= STEPS.length) return steps
  const reason = Number.isInteger(steps) ? 'was installed by a newer version' : 'holds something else'
  throw new QueueError(
    'NotInstalled',
    `install the queue: the schema ${schema} ${reason}: name another, or use that version`,
  )
}

async function installedFingerprint(client: ClientBase, schema: string): Promise<string | undefined> {
  const { rows } = await client.query<{ fingerprint: string }>(
    `SELECT fingerprint FROM ${escapeIdentifier(schema)}.setting`,
  )
  return rows[0]?.fingerprint
}

function fingerprintOf(schema: string): string {
  const texts = FUNCTIONS.flatMap((fn) => [...defineFunction(schema, fn), ...(fn.access ?? [])])
  return createHash('sha256').update(texts.join('\n')).digest('hex')
}

async function requireServer(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int AS version`,
  )
  if ((rows[0]?.version ?? 0) >= OLDEST_SERVER) return
  throw new QueueError('NotInstalled', 'install the queue: it needs PostgreSQL 14 or newer: upgrade the server')
}

async function transaction(client: ClientBase, doing: string, work: () => Promise<void>): Promise<void> {
  try {
    await client.query('BEGIN')
    await work()
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw toQueueError(error, doing)
  }
}

import { randomBytes } from 'node:crypto'
import { AppError, type ErrorCode } from '@tenantry/crds/errors.ts'
import type { PoolClient } from 'pg'
import { stampOf } from '../../fence.ts'
import type { MigrationFile } from '../../model.ts'
import { codeOf } from '../errors.ts'
import { beginning, LOCK_TIMEOUT, passOf } from '../fence.ts'
import { textOf } from '../migrate/outside.ts'
import { powerless } from '../migrate/powerless.ts'
import { given } from '../migrate/routines.ts'
import { sentText } from '../migrate/transaction.ts'
import type { Circle, Migration } from '../model.ts'
import { circle, gateName } from '../names.ts'
import { tenantResources } from '../resources.ts'
import { reader, type Server } from '../session.ts'
import { PREVIEW } from '../sql/context.ts'
import { sharedTableStatements } from '../sql/rows.ts'
import { changeStatements } from '../statements.ts'
import { inTransaction } from './in-transaction.ts'
import { readDigests, readPictures } from './look.ts'
import type { Picture } from './picture.ts'

/** What files make of an empty schema; or why that cannot be learned. */
export type Replayed =
  | { readonly digest: string; readonly picture: Picture; readonly unknown?: undefined }
  | { readonly unknown: string }

/** What is run again, in the order of versions. */
export interface Script {
  readonly files: readonly MigrationFile[]
  readonly shared: boolean
}

/** Stands for the name of a tenant in a schema that is nobody's. */
const NOBODY = 'tenantry/scratch'

/**
 * Runs files in an empty schema, as an owner that has nothing else, and looks at what they made: all in one transaction that is
 * rolled back, so that nothing remains of it, whenever it is killed. Errors that the files are not to blame for are thrown.
 */
export async function replay(server: Server, script: Script, signal: AbortSignal): Promise<Replayed> {
  return await server.pooled('run SQL files in a scratch schema', signal, async (client) => {
    const at = circle(`tenantry_scratch_${randomBytes(8).toString('hex')}`)
    try {
      await client.query(beginning(passOf(stampOf(server.options))).join(';\n'))
      await client.query((await scratchStatements(client, at)).join(';\n'))
      return (await runAll(client, script, at)) ?? (await lookAt(client, at.schema))
    } finally {
      // Whoever lost the connection has lost the transaction with it.
      await client.query('ROLLBACK').catch(() => undefined)
      await client.query('DISCARD ALL').catch(() => undefined)
    }
  })
}

/** The schema and roles that a tenant would get, so that files find what they find there. */
async function scratchStatements(client: PoolClient, at: Circle): Promise<readonly string[]> {
  const { rows } = await client.query<{ database: string }>('SELECT current_database()::text AS database')
  const gate = gateName(rows[0]?.database ?? '')
  const wanted = tenantResources({
    isolation: 'Schema',
    name: at.schema,
    tenantId: at.schema,
    shared: at.schema,
    suspended: false,
    logins: [],
    limits: {},
    files: [],
  })
  return wanted
    .map((resource) => (resource.kind === 'Entry' ? { ...resource, spec: { ...resource.spec, gate } } : resource))
    .toSorted((a, b) => Number(a.kind !== 'Role') - Number(b.kind !== 'Role'))
    .flatMap((target) => changeStatements(PREVIEW, { op: 'create', target, risk: 'safe', fields: [], summary: '' }))
}

/** Why a file cannot be run again; undefined when all could. */
async function runAll(client: PoolClient, { files, shared }: Script, at: Circle): Promise<Replayed | undefined> {
  for (const file of files) {
    try {
      await runFile(client, {
        kind: 'Migration',
        id: '',
        data: false,
        spec: { ...at, ...file, shared, tenant: NOBODY },
      })
    } catch (error) {
      return refusal(file, error)
    }
    if (shared) await client.query(sharedTableStatements(at).join(';\n'))
  }
  return undefined
}

function refusal(file: MigrationFile, error: unknown): Replayed {
  if (!(error instanceof Error)) throw error
  const code = error instanceof AppError ? error.code : codeOf(error)
  if (!FAULTS.includes(code)) throw error
  return { unknown: `SQL file ${file.name} cannot be run in a scratch schema: ${error.message}` }
}

async function runFile(client: PoolClient, file: Migration): Promise<void> {
  for (const body of await bodiesOf(file)) await runOne(client, body, file.spec)
}

/** What a file itself is to blame for; anything else may pass. */
const FAULTS: readonly ErrorCode[] = [
  'MigrationFailed',
  'StatementFailed',
  'PermissionDenied',
  'SecretInvalid',
  'Unsupported',
]

async function bodiesOf(file: Migration): Promise<readonly string[]> {
  const { statements } = file.spec
  if (!statements) return [sentText(file)]
  const kept = await Promise.all(statements.map(({ start, end }) => inTransaction(textOf(file, start, end))))
  return kept.filter((statement) => statement !== undefined)
}

async function runOne(client: PoolClient, body: string, at: Circle): Promise<void> {
  const run = `SELECT ${given(body).join(', ')};\nSELECT ${powerless(at)}`
  await client.query(`${LOCK_TIMEOUT};\n${run}`)
}

async function lookAt(client: PoolClient, schema: string): Promise<Replayed> {
  const read = reader(client)
  const subject = { schema, tenant: NOBODY }
  const [[looked], pictures] = [await readDigests(read, [subject], 'none'), await readPictures(read, [subject])]
  const picture = pictures.get(schema)
  if (!looked || !picture) return { unknown: 'the SQL files drop the schema that they are run in' }
  return { digest: looked.digest, picture }
}

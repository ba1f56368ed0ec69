import type { AppliedFile } from '../../model.ts'
import type { Server } from '../session.ts'
import { BASICS, type Basics, HISTORY } from './ledger.ts'
import { readOnly } from './read-only.ts'

/** What the shard's ledger tells of its files: [] where there is none. */
export async function history(
  server: Server,
  schemas: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<readonly AppliedFile[]> {
  return await readOnly(server, { place: undefined, doing: 'read the ledger of SQL files' }, signal, async (read) => {
    const [{ form } = { form: 'none' as const }] = await read<Basics>(BASICS)
    return await read<AppliedFile>(HISTORY[form], [schemas ?? null])
  })
}

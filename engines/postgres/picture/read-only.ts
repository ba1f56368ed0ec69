import type { Read } from '../observe.ts'
import { reader, type Server } from '../session.ts'

/** A lock that is not granted sooner is somebody's SQL file at work: the next look will do. */
const LOCK_TIMEOUT = '2s'

/** A few schemas are found by indexes, however many there are: what the planner knows of catalogues that grow leads it astray. */
const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '${LOCK_TIMEOUT}';
SET LOCAL enable_seqscan = off`

/** Reads in a transaction that the server keeps from writing anything. `place`: another database than the shard's. */
export async function readOnly<T>(
  server: Server,
  { place, doing }: { readonly place: string | undefined; readonly doing: string },
  signal: AbortSignal,
  look: (read: Read) => Promise<T>,
): Promise<T> {
  const run = async (client: Parameters<typeof reader>[0]): Promise<T> => {
    await client.query(BEGIN)
    const result = await look(reader(client))
    await client.query('COMMIT')
    return result
  }
  return place === undefined
    ? await server.pooled(doing, signal, run)
    : await server.single({ database: place }, doing, signal, run)
}

import { postgres } from '@tenantry/engines/postgres/engine.ts'
import { createClient, type KubeClient } from '@tenantry/operator/kube/client.ts'
import type { FleetShard } from './fleet.ts'
import type { Io } from './run.ts'

type PgSession = ReturnType<typeof postgres.connect>

/** Nobody waits longer than this for one answer of a server. */
const OPTIONS = { installation: '', connectTimeoutMs: 5_000, statementTimeoutMs: 60_000, maxConnections: 2 }

/** A session without a fence, which is closed whatever happens. With `readOnly` the server refuses every write. */
export async function onShard<T>(
  { connection }: FleetShard,
  { readOnly }: { readonly readOnly: boolean },
  use: (session: PgSession) => Promise<T>,
): Promise<T> {
  const session = postgres.connect(connection, { ...OPTIONS, readOnly })
  try {
    return await use(session)
  } finally {
    await session.close()
  }
}

/** The cluster, for as long as `use` takes. */
export async function onCluster<T>(io: Io, use: (client: KubeClient) => Promise<T>): Promise<T> {
  const client = createClient({ kubeConfig: await io.kubeConfig() })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** A command is ended by whoever runs it. */
export const ENDLESS: AbortSignal = new AbortController().signal

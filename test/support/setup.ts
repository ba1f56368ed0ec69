import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { ensureAssets } from '../../hack/assets/assets.ts'
import { isClaimed } from '../../hack/stack/claim.ts'
import { startStack } from '../../hack/stack/stack.ts'

const PREFIX = 'tenantry-test-'
const ABANDONED_AFTER_MS = 60_000

/** Starts the embedded stack for a test run in a folder of its own, and removes both afterwards. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeAbandoned()
  const dir = await mkdtemp(join(tmpdir(), PREFIX))
  // mkdtemp's folder is closed to others, and Postgres may have to run as another user.
  await chmod(dir, 0o755)
  const log = (line: string): void => void process.stderr.write(`stack: ${line}\n`)
  try {
    const stack = await startStack({ dir, assets: await ensureAssets({ log }), log, fresh: true })
    stack.onCrash(({ message }) => log(message))
    const { kubeconfig, postgres, redis, clickhouse } = stack
    project.provide('stack', { kubeconfig, postgres, redis, clickhouse })
    return async () => {
      await stack.stop()
      await rm(dir, { recursive: true, force: true })
    }
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

/** A run that was killed could not remove its folder; its servers have ended by themselves. */
async function removeAbandoned(): Promise<void> {
  for (const name of (await readdir(tmpdir())).filter((entry) => entry.startsWith(PREFIX))) {
    const dir = join(tmpdir(), name)
    const age = Date.now() - (await stat(dir).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > ABANDONED_AFTER_MS && !isClaimed(dir)) await rm(dir, { recursive: true, force: true })
  }
}

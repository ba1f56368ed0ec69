#!/usr/bin/env node
/**
 * Starts the command with a Node that runs TypeScript: this one, else the one among the packages. Plain JavaScript,
 * because this one may be too old for more.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const main = join(here, 'main.ts')

if (process.features.typescript) await import(main)
else process.exitCode = startOther()

function startOther() {
  const other = join(dirname(here), 'node_modules', '.bin', 'node')
  if (!existsSync(other)) {
    process.stderr.write(`tenantry: Node ${process.versions.node} is too old: run npm install, or use Node 24\n`)
    return 2
  }
  const { status, error } = spawnSync(other, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  if (error) process.stderr.write(`tenantry: could not run ${other}: ${error.message}\n`)
  return status ?? 2
}

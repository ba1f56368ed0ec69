/**
 * generate.ts [--check] [folder]: writes the files made from the schemas, the metrics and the lint rules below the folder (else the
 * repository). With --check it only compares, and fails where they differ.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { generate } from '@tenantry/crds/generate.ts'
import { clickHouseLintReference } from '@tenantry/engines/clickhouse/lint/reference.ts'
import { lintReference } from '@tenantry/engines/postgres/lint/reference.ts'
import { metricsReference } from '@tenantry/operator/telemetry/reference.ts'

const { values, positionals } = parseArgs({ options: { check: { type: 'boolean' } }, allowPositionals: true })
const root = positionals[0] ?? join(import.meta.dirname, '..')

const metrics = {
  path: 'docs/reference/metrics.md',
  text: `<!-- Generated from operator/telemetry by \`npm run generate\`. Do not edit. -->\n\n${metricsReference()}`,
}
const lint = {
  path: 'docs/reference/lint.md',
  text: `<!-- Generated from engines/postgres/lint by \`npm run generate\`. Do not edit. -->\n\n${lintReference()}`,
}
const clickHouse = {
  path: 'docs/reference/lint-clickhouse.md',
  text: `<!-- Generated from engines/clickhouse/lint by \`npm run generate\`. Do not edit. -->\n\n${clickHouseLintReference()}`,
}
const files = [...generate(), metrics, lint, clickHouse].map(({ path, text }) => ({
  path,
  text,
  file: join(root, path),
}))
const current = await Promise.all(files.map(({ file }) => readFile(file, 'utf8').catch(() => undefined)))
const stale = files.filter(({ text }, i) => text !== current[i])

if (!values.check) {
  for (const { path, text, file } of stale) {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    console.log(`wrote ${path}`)
  }
} else if (stale.length > 0) {
  console.error('These files differ from what they are made from:')
  for (const { path } of stale) console.error(`  ${path}`)
  console.error('Run `npm run generate` and commit the result.')
  process.exitCode = 1
}

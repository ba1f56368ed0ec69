import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freshShard, signal, sqlFile } from '@tenantry/engines/postgres/testing/lab.ts'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const FILES = join(ROOT, 'examples/quickstart/sql/oltp')

/** It is what `npx tenantry schema --database platform/oltp --diagram` prints. */
test('the diagram in the docs is what the quickstart’s files make', async () => {
  const names = (await readdir(FILES)).toSorted()
  const bodies = await Promise.all(names.map((name) => readFile(join(FILES, name), 'utf8')))
  const files = bodies.map((body, n) => sqlFile(String(n + 1), body))
  const { session } = await freshShard('Schema', { extensions: ['pg_trgm'] })
  const page = await readFile(join(ROOT, 'docs/drift.md'), 'utf8')
  const drawn = /```mermaid\n(?<diagram>.*?)```/s.exec(page)?.groups?.diagram
  expect(await session.diagram?.({ files, shared: false }, signal)).toBe(drawn)
})

import { chmodSync, cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ensurePostgres, preparePostgres } from './postgres.ts'
import { firstLine } from './run.ts'

describe('ensurePostgres', () => {
  it('gives the folder of a Postgres 16 that runs', async () => {
    await expectPrograms(await ensurePostgres())
  })

  it('makes up for an installation that ran no package scripts', async () => {
    const installed = dirname(dirname(await ensurePostgres()))
    const folder = mkdtempSync(join(tmpdir(), 'tenantry-postgres-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    cpSync(installed, folder, { recursive: true, verbatimSymlinks: true })
    const lib = join(folder, 'native', 'lib')
    const links = readdirSync(lib).filter((name) => lstatSync(join(lib, name)).isSymbolicLink())
    for (const name of links) rmSync(join(lib, name))
    chmodSync(join(folder, 'native', 'bin', 'initdb'), 0o644)
    const bin = await preparePostgres(folder)
    await expectPrograms(bin)
    expect(readdirSync(lib)).toEqual(expect.arrayContaining(links))
  })
})

async function expectPrograms(bin: string) {
  for (const name of ['postgres', 'initdb', 'pg_ctl']) {
    expect(await firstLine(join(bin, name), ['--version'])).toMatch(/^\S+ \(PostgreSQL\) 16\./)
  }
}

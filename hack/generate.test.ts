import { execFile } from 'node:child_process'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const run = promisify(execFile)
const generate = (...args: readonly string[]) =>
  run(process.execPath, [join(import.meta.dirname, 'generate.ts'), ...args])

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-generate-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('the generated files of the repository are up to date', async () => {
  await expect(generate('--check')).resolves.toEqual({ stdout: '', stderr: '' })
})

test('a check names the files that differ and the command to run, and writes nothing', async () => {
  const folder = await emptyFolder()
  const failure = {
    code: 1,
    stderr: expect.stringMatching(/generated\/tenantry\.dev_tenants\.yaml.*npm run generate/s),
  }
  await expect(generate('--check', folder)).rejects.toMatchObject(failure)
  await expect(generate('--check', folder)).rejects.toMatchObject(failure)
})

test('generating writes what differs, once, and then a check names only what was edited by hand', async () => {
  const folder = await emptyFolder()
  expect((await generate(folder)).stdout.trim().split('\n')).toHaveLength(8)
  expect((await generate(folder)).stdout).toBe('')
  await appendFile(join(folder, 'docs/reference/errors.md'), 'by hand\n')
  await expect(generate('--check', folder)).rejects.toMatchObject({
    code: 1,
    stderr: expect.not.stringContaining('tenants.yaml'),
  })
})

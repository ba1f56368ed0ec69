import { rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DownloadError, type DownloadOptions, download } from './download.ts'
import type { Program, Release } from './programs.ts'
import { run } from './run.ts'

const ATTEMPTS = 3

/**
 * Downloads a program's release to `made` and verifies its checksum; a transfer that breaks off is begun again. Works in
 * the folder of `made` and may leave an archive there. Rejects with a DownloadError, or with what tar said.
 */
export async function downloadRelease(program: Program, made: string, options: DownloadOptions): Promise<void> {
  const release = program.release(options.env)
  options.log(`${program.name} ${program.version}: downloading ${release.url}`)
  const file = release.member === undefined ? made : `${made}.archive`
  await downloadPatiently(release, file, options)
  if (release.member !== undefined) await unpack(file, release.member, made)
}

async function downloadPatiently(release: Release, file: string, options: DownloadOptions): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await download(release, file, options)
    } catch (error) {
      const again = error instanceof DownloadError && error.failure === 'interrupted' && attempt < ATTEMPTS
      if (!again) throw error
      options.log(`${error.message}: trying again`)
    }
  }
}

async function unpack(archive: string, member: string, made: string): Promise<void> {
  const folder = dirname(archive)
  const { code, output } = await run('tar', ['-xf', archive, '-C', folder, member])
  if (code !== 0) throw new Error(`tar could not take ${member} out of the archive: ${output.at(-1)}`)
  await rename(join(folder, member), made)
}

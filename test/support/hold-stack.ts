/** Runs a durable stack in the folder of the first argument until standard input ends: a process for tests to kill. */
import { ensureAssets } from '../../hack/assets/assets.ts'
import { startStack } from '../../hack/stack/stack.ts'

const log = (): void => undefined
const stack = await startStack({ dir: process.argv[2] ?? '', assets: await ensureAssets({ log }), log })
process.stdout.write('up\n')
process.stdin.resume().once('end', () => void stack.stop())

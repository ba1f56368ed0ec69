/**
 * What `npm test` runs: lint, type check, the check of generated files, and all tests. Every step runs, whatever became of
 * those before it; arguments go to Vitest (`npm test -- engines/redis`). The last line is `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Step {
  readonly title: string
  readonly args: readonly string[]
}

interface Totals {
  readonly passed: number
  readonly failed: number
}

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const scratch = mkdtempSync(join(tmpdir(), 'tenantry-results-'))
const results = join(scratch, 'results.json')
const modules = join(root, 'node_modules')

const steps: readonly Step[] = [
  { title: 'Lint', args: [join(modules, '@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'] },
  { title: 'Type check', args: [join(modules, 'typescript/bin/tsc'), '--noEmit'] },
  { title: 'Generated files', args: [join(root, 'hack/generate.ts'), '--check'] },
  {
    title: 'Tests',
    args: [
      ...[join(modules, 'vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json'],
      ...[
        `--reporter=${join(root, 'test/support/flaky.ts')}`,
        `--outputFile.json=${results}`,
        ...process.argv.slice(2),
      ],
    ],
  },
]

const failed: string[] = []
let interrupted = false
for (const step of steps) {
  if (!interrupted && !(await run(step))) failed.push(step.title)
}
const totals = readTotals(!failed.includes('Tests'))
rmSync(scratch, { recursive: true, force: true })
console.log(failed.length === 0 ? '\nAll steps passed' : `\nFailed: ${failed.join(', ')}`)
console.log(`${totals.passed} passed, ${totals.failed} failed`)
process.exitCode = failed.length === 0 ? 0 : 1

async function run({ title, args }: Step): Promise<boolean> {
  console.log(`\n== ${title}`)
  const begin = performance.now()
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
  const forward = (signal: NodeJS.Signals): void => {
    interrupted = true
    // A terminal's Ctrl-C reaches the child by itself, and a second one would keep Vitest from cleaning up.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
  }
  process.once('SIGTERM', forward)
  process.once('SIGINT', forward)
  const ok = await new Promise<boolean>((end) => {
    child.once('error', () => end(false))
    child.once('exit', (code) => end(code === 0))
  })
  process.off('SIGTERM', forward)
  process.off('SIGINT', forward)
  console.log(`== ${title}: ${ok ? 'passed' : 'FAILED'} after ${((performance.now() - begin) / 1000).toFixed(1)} s`)
  return ok
}

/** A file that could not be loaded, and a run that ended without results, count as one failure each. */
function readTotals(ok: boolean): Totals {
  try {
    const report: {
      numPassedTests: number
      numFailedTests: number
      testResults: { status: string; assertionResults: { status: string }[] }[]
    } = JSON.parse(readFileSync(results, 'utf8'))
    const unloadable = report.testResults.filter(
      (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
    )
    const counted = report.numFailedTests + unloadable.length
    return { passed: report.numPassedTests, failed: counted === 0 && !ok ? 1 : counted }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

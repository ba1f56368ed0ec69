/** A reporter that names every test which passed only when it was tried again, with what had failed: each is a defect to find. */
import type { Reporter, TestCase } from 'vitest/node'

export default class FlakyTests implements Reporter {
  readonly #found: string[] = []

  onTestCaseResult(test: TestCase): void {
    if (!test.diagnostic()?.flaky) return
    const [error] = test.result().errors ?? []
    this.#found.push(`  ${test.module.relativeModuleId} > ${test.fullName}: ${error?.message ?? 'unknown'}`)
  }

  onTestRunEnd(): void {
    if (this.#found.length === 0) return
    process.stdout.write(`\nPassed only when tried again:\n${this.#found.join('\n')}\n`)
  }
}

import { execFile } from 'node:child_process'

/** Runs kubectl against the stack; resolves to what it printed. Rejects with what it complained about. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>

/** `cache` is a folder for kubectl's discovery cache, so that the user's own stays as it is. */
export function kubectlFor(program: string, kubeconfig: string, cache: string): Kubectl {
  return (args, input) =>
    new Promise((done, fail) => {
      const all = [`--kubeconfig=${kubeconfig}`, `--cache-dir=${cache}`, ...args]
      const child = execFile(program, all, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
        if (error) fail(new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || error.message}`))
        else done(stdout)
      })
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(input ?? '')
    })
}

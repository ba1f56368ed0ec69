import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { type Io, run } from './run.ts'

const io: Io = {
  read: (file) => (file === '-' ? buffer(process.stdin) : readFile(file)),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  width: process.stdout.columns ?? 120,
  kubeConfig: async () => {
    const { KubeConfig } = await import('@kubernetes/client-node')
    const config = new KubeConfig()
    config.loadFromDefault()
    return config
  },
}

// Whoever reads the output may stop, as head does: that is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

process.exitCode = await run(process.argv.slice(2), io)

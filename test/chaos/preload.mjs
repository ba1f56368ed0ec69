/**
 * Loaded into the operator before anything else (`node --import`): replaces text in its sources as they are loaded, and
 * lets its wall clock be set. Plain JavaScript, so that it needs no loader itself.
 */
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

const root = pathToFileURL(`${process.cwd()}/`).href
const patches = JSON.parse(process.env.CHAOS_PATCHES ?? '[]')

if (patches.length > 0) {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const mine = patches.filter(({ file }) => url === root + file)
      if (mine.length === 0) return loaded
      let source = Buffer.from(loaded.source).toString('utf8')
      for (const { file, from, to } of mine) {
        if (!source.includes(from)) {
          process.stderr.write(`CHAOS: ${file} has no text ${JSON.stringify(from)}\n`)
          process.exit(97)
        }
        source = source.replace(from, () => to)
      }
      return { ...loaded, source }
    },
  })
}

let offset = Number(process.env.CHAOS_CLOCK ?? 0)
const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offset)
    else super(...args)
  }
  static now() {
    return RealDate.now() + offset
  }
}
process.on('message', ({ clock }) => {
  offset = clock
})
process.channel?.unref()
// Nobody is left to end this process when the harness has died; an exit in order may wait for threads that never end.
const die = () => process.kill(process.pid, 'SIGKILL')
process.on('disconnect', die)
if (process.channel === null) die()

import type { WriteStream } from 'node:tty'

/** Reports one step at a time. `say` tells what the step is doing, one line without a newline. */
export interface Progress {
  step<T>(title: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T>
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 100
const REMINDER_MS = 15_000

/** On a terminal a line that moves, with the seconds so far; elsewhere plain lines, and a reminder every 15 seconds. */
export function createProgress(
  output: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>,
): Progress {
  const line = output.isTTY === true ? movingLine(output) : plainLines(output)
  return {
    async step(title, work) {
      const begin = performance.now()
      const seconds = (): number => (performance.now() - begin) / 1000
      const step = line(title, seconds)
      try {
        const result = await work(step.say)
        step.end('✓')
        return result
      } catch (error) {
        step.end('✗')
        throw error
      }
    },
  }
}

type Line = (title: string, seconds: () => number) => { say: (detail: string) => void; end: (mark: string) => void }

function movingLine(output: NodeJS.WritableStream & Partial<Pick<WriteStream, 'columns'>>): Line {
  return (title, seconds) => {
    let detail = ''
    let frame = 0
    const draw = (): void => {
      const text = `${FRAMES[frame++ % FRAMES.length]} ${title} ${Math.floor(seconds())} s${detail && ` · ${detail}`}`
      output.write(`\r\u001b[2K${text.slice(0, (output.columns || 80) - 1)}`)
    }
    const timer = setInterval(draw, FRAME_MS)
    draw()
    return {
      say: (text) => {
        detail = text
      },
      end: (mark) => {
        clearInterval(timer)
        output.write(`\r\u001b[2K${mark} ${title} ${seconds().toFixed(1)} s\n`)
      },
    }
  }
}

function plainLines(output: NodeJS.WritableStream): Line {
  return (title, seconds) => {
    let last = ''
    output.write(`${title} …\n`)
    const timer = setInterval(() => {
      output.write(`  still at it after ${Math.round(seconds())} s${last && `: ${last}`}\n`)
    }, REMINDER_MS)
    return {
      say: (text) => {
        if (text !== last) output.write(`  ${text}\n`)
        last = text
      },
      end: (mark) => {
        clearInterval(timer)
        output.write(`${mark} ${title}: ${seconds().toFixed(1)} s\n`)
      },
    }
  }
}

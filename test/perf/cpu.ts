import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** Processor time so far, in milliseconds, by program: `operator`, `postgres`, `kube-apiserver`, …, and `bench` for this process. */
export type CpuTimes = ReadonlyMap<string, number>

/** Ticks of /proc/<pid>/stat: a hundred a second on every Linux. */
const MS_PER_TICK = 10
/** Positions behind the command's name. */
const PARENT = 1
const TIMES = [11, 12, 13, 14]

interface Process {
  readonly parent: number
  readonly ms: number
}

/** Of this process and all below it, ended ones included. Empty where there is no /proc. */
export function cpuTimes(): CpuTimes {
  if (process.platform !== 'linux') return new Map()
  const all = new Map(pids().flatMap((pid) => read(pid) ?? []))
  const times = new Map<string, number>()
  for (const [pid, { ms }] of all) {
    const child = topmost(all, pid)
    if (child === undefined) continue
    const name = child === process.pid ? 'bench' : nameOf(child)
    times.set(name, (times.get(name) ?? 0) + ms)
  }
  return times
}

function pids(): readonly number[] {
  return readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []))
}

/** Undefined for a process that has ended meanwhile. */
function read(pid: number): readonly [number, Process][] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // The times of collected children belong to what started them; ours were none of the measured programs.
    const times = pid === process.pid ? TIMES.slice(0, 2) : TIMES
    const ticks = times.reduce((sum, position) => sum + Number(fields[position]), 0)
    return [[pid, { parent: Number(fields[PARENT]), ms: ticks * MS_PER_TICK }]]
  } catch {
    return undefined
  }
}

/** The child of ours that a process is or descends from; our own id for ourselves; undefined for strangers. */
function topmost(all: ReadonlyMap<number, Process>, pid: number): number | undefined {
  if (pid === process.pid) return pid
  for (let at: number | undefined = pid; at !== undefined; at = all.get(at)?.parent) {
    if (all.get(at)?.parent === process.pid) return at
  }
  return undefined
}

/** A script of ours is called after its folder: `operator`, `clickhouse`. */
function nameOf(pid: number): string {
  try {
    const [command = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const script = args.find((argument) => argument.endsWith('main.ts'))
    return script === undefined ? basename(command) : (script.split('/').at(-2) ?? command)
  } catch {
    return 'ended'
  }
}

/** How much each grew, in milliseconds for each of so many tenants. */
export function cpuGrowth(before: CpuTimes, after: CpuTimes, tenants: number): CpuTimes {
  return new Map([...after].map(([name, ms]) => [name, (ms - (before.get(name) ?? 0)) / tenants]))
}

/**
 * Where faults come from. Every proxy brings each write that passes through it here; the gate knows it by a name that is
 * the same in every run, and breaks it when the plan says so.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, FaultPoint, Target } from './plan.ts'

/** What a proxy does with a write: pass it on, or break the connection. */
export type Action = 'pass' | 'drop'

/** What holds for everything on the way to one server for a while. */
export type Weather = 'fair' | 'hanging' | 'refusing' | 'full' | 'read-only' | Storm

/** The API answers everything with this status: 504 after it has done what was asked for, the others before. */
export type Storm = 409 | 429 | 500 | 504

/** One write that a proxy has in hand. */
export interface Passage {
  /** Before the write is sent on. */
  ahead(): Promise<Action>
  /** After the server has answered and before its answer is passed on. `ok`: the server has done it. */
  behind(ok: boolean): Promise<'pass' | 'drop'>
}

/** A write as it was seen. `done` is undefined while the server has not answered. */
export interface Seen {
  readonly target: Target
  readonly key: string
  /** Within the server, where that matters: the database of Postgres. */
  readonly place: string
  readonly at: number
  done: boolean | undefined
  /** Whether another led before this write was sent on; of one that was held back for that. */
  succeeded?: boolean
}

/** Acts on what lies outside the connection that brought the write. */
export interface Hands {
  kill(): Promise<void>
  /** Resolves to whether another began to lead meanwhile. */
  pause(ms: number): Promise<boolean>
  jump(ms: number): Promise<void>
  /** Does something to the watches of the API proxy. */
  watches(how: 'cut' | 'garble' | 'gone' | 'half-open'): void
  /** Breaks all connections to a server. */
  disconnect(target: Target): void
  restart(program: string): Promise<void>
}

/** Writes that follow what is measured, such as a server's latency. */
export const FOLLOWS = /^PATCH databases\/status /

export interface Gate {
  readonly seen: readonly Seen[]
  /** The write at which the plan's fault was done. */
  readonly hit: Seen | undefined
  weather(target: Target): Weather
  /** Resolves when the weather is fair again. */
  fair(target: Target): Promise<void>
  arrive(target: Target, text: string, place?: string): Passage
  /** Makes ready for a run: `name` turns names that differ from run to run into such that do not. */
  arm(fault: Fault | undefined, name: (text: string) => string, hands: Hands): void
  /**
   * Milliseconds since the last write that does not follow a measurement, or since the fault was over; since arming when there
   * was none. 0 as long as the fault lasts: what it holds back has yet to arrive.
   */
  quietMs(): number
}

const PASS: Passage = { ahead: async () => 'pass', behind: async () => 'pass' }

export function createGate(): Gate {
  let seen: Seen[] = []
  let counts = new Map<string, number>()
  let armed: { fault: Fault | undefined; name: (text: string) => string; hands: Hands } | undefined
  let struck: Seen | undefined
  let lastWrite = performance.now()
  const weather = new Map<Target, { kind: Weather; over: Promise<void> }>()
  const acting = new Set<Promise<unknown>>()
  const during = async <T>(fault: Promise<T>): Promise<T> => {
    acting.add(fault)
    try {
      return await fault
    } finally {
      acting.delete(fault)
      lastWrite = performance.now()
    }
  }

  const passage = (target: Target, key: string, place: string): Passage => {
    const nth = (counts.get(`${target} ${key}`) ?? 0) + 1
    counts.set(`${target} ${key}`, nth)
    const entry: Seen = { target, key, place, at: performance.now(), done: undefined }
    seen.push(entry)
    if (!FOLLOWS.test(key)) lastWrite = entry.at
    const fault = armed?.fault
    const hit =
      !struck && fault && armed && isAt(fault.at, target, key, nth) ? { fault, hands: armed.hands } : undefined
    if (hit) struck = entry
    return {
      ahead: async () => (hit ? await ahead(hit.fault, hit.hands, { entry, weather, during }) : 'pass'),
      behind: async (ok) => {
        entry.done = ok
        return hit ? await during(behind(hit.fault, hit.hands)) : 'pass'
      },
    }
  }
  return {
    get seen() {
      return seen
    },
    get hit() {
      return struck
    },
    weather: (target) => weather.get(target)?.kind ?? 'fair',
    fair: async (target) => await weather.get(target)?.over,
    arrive: (target, text, place = '') => (armed ? passage(target, armed.name(text), place) : PASS),
    arm: (fault, name, hands) => {
      seen = []
      counts = new Map()
      struck = undefined
      lastWrite = performance.now()
      weather.clear()
      armed = { fault, name, hands }
    },
    quietMs: () => (acting.size + weather.size > 0 ? 0 : performance.now() - lastWrite),
  }
}

function isAt(at: FaultPoint, target: Target, key: string, nth: number): boolean {
  return at.target === target && at.key === key && at.nth === nth
}

type WeatherMap = Map<Target, { kind: Weather; over: Promise<void> }>

interface Means {
  readonly entry: Seen
  readonly weather: WeatherMap
  /** Nothing counts as quiet before it is over. */
  readonly during: <T>(fault: Promise<T>) => Promise<T>
}

/** A write that was on its way arrives so long before its leader goes on, which may then hang up before it is answered. */
const LATE_BY_MS = 500

/** Faults that strike before the write is sent on. */
async function ahead(fault: Fault, hands: Hands, { entry, weather, during }: Means): Promise<Action> {
  if (fault.kind !== 'failover-pause') return await during(strike(fault, hands, weather))
  const { ms = 2_000 } = fault
  const paused = hands.pause(ms).then((succeeded) => {
    entry.succeeded = succeeded
  })
  void during(paused)
  await during(sleep(ms - LATE_BY_MS))
  return 'pass'
}

async function strike({ kind, at, ms = 2_000 }: Fault, hands: Hands, weather: WeatherMap): Promise<Action> {
  switch (kind) {
    case 'crash-before':
    case 'failover-crash':
      await hands.kill()
      return 'drop'
    case 'refuse':
      return 'drop'
    case 'delay':
      await sleep(ms)
      return 'pass'
    case 'pause':
      await hands.pause(ms)
      return 'pass'
    case 'clock-jump':
    case 'clock-back':
      await hands.jump(ms)
      return 'pass'
    case 'api-409':
    case 'api-429':
    case 'api-500':
    case 'api-504':
    case 'hang':
    case 'outage':
    case 'full':
    case 'read-only':
      blow(weather, at.target, { kind: WEATHER[kind], ms })
      if (kind !== 'outage' && kind !== 'full') return 'pass'
      hands.disconnect(at.target)
      return 'drop'
    case 'restart':
      await hands.restart(at.target)
      return 'drop'
    default:
      return 'pass'
  }
}

/** Faults that strike once the server has done the write. */
async function behind({ kind }: Fault, hands: Hands): Promise<'pass' | 'drop'> {
  switch (kind) {
    case 'crash-after':
      await hands.kill()
      return 'drop'
    case 'lost-reply':
      return 'drop'
    case 'watch-cut':
      hands.watches('cut')
      return 'pass'
    case 'watch-garbled':
      hands.watches('garble')
      return 'pass'
    case 'watch-gone':
      hands.watches('gone')
      return 'pass'
    case 'watch-half-open':
      hands.watches('half-open')
      return 'pass'
    default:
      return 'pass'
  }
}

const WEATHER = {
  hang: 'hanging',
  outage: 'refusing',
  full: 'full',
  'read-only': 'read-only',
  'api-409': 409,
  'api-429': 429,
  'api-500': 500,
  'api-504': 504,
} as const

function blow(weather: WeatherMap, target: Target, { kind, ms }: { kind: Weather; ms: number }): void {
  const over = sleep(ms).then(() => void weather.delete(target))
  weather.set(target, { kind, over })
}

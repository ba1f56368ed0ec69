import { Semaphore } from '../semaphore.ts'
import type { Link } from './client.ts'

/** Runs work when one of so many places is free; the others wait in order. */
export type Slots = <T>(work: () => Promise<T>) => Promise<T>

export function openSlots(places: number): Slots {
  const semaphore = new Semaphore(places)
  return (work) => semaphore.run(work)
}

/** The same link, whose requests wait for their place. */
export function inTurn(link: Link, slots: Slots): Link {
  return {
    ...link,
    rows: (sql, call) => slots(() => link.rows(sql, call)),
    run: (sql, call) => slots(() => link.run(sql, call)),
  }
}

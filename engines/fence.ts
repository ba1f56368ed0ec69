import { AppError } from '@tenantry/crds/errors.ts'
import type { SessionOptions } from './model.ts'

/** What the writes of one batch carry. A server remembers the highest epoch for each fence. */
export interface Stamp {
  readonly fence: string
  readonly epoch: number
}

/** The stamp of a batch that begins now; undefined for a session that is not fenced. Throws `Internal` for what is no epoch. */
export function stampOf({ installation, fence = installation, epoch }: SessionOptions): Stamp | undefined {
  if (!epoch) return undefined
  const now = epoch()
  if (Number.isSafeInteger(now) && now > 0) return { fence, epoch: now }
  throw new AppError('Internal', `begin a batch: ${now} is no fencing epoch, which is a whole and positive number`)
}

/** The refusal of a batch because the server has seen a later epoch. */
export function fencedError(doing: string, { fence, epoch }: Stamp, stored: number | string): AppError {
  const message = `epoch ${epoch} of ${fence} is over, since epoch ${stored} writes to this server`
  return new AppError('Fenced', `${doing}: ${message}; the process that leads now does the work`)
}

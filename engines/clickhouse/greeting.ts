import type { AppError } from '@tenantry/crds/errors.ts'
import type { Greeting } from './observe.ts'

/** For so long a server is taken for the one that was greeted, unless something fails. */
const KEPT_MS = 10_000

/** What a server answered to the greeting, so that not each call has to begin with one. */
export interface Acquaintance {
  /** The answer that is kept, or a new one. */
  greeting(doing: string, signal: AbortSignal): Promise<Greeting>
  /** Always a new one. */
  greetAnew(doing: string, signal: AbortSignal): Promise<Greeting>
  /** Runs the work; after an error the next call begins with a greeting, which says best what is wrong with the server. */
  during<T>(work: () => Promise<T>, errorIn?: (result: T) => AppError | undefined): Promise<T>
}

export function makeAcquaintance(greet: Acquaintance['greeting']): Acquaintance {
  let kept: { readonly greeting: Greeting; readonly until: number } | undefined
  const greetAnew: Acquaintance['greeting'] = async (doing, signal) => {
    const greeting = await greet(doing, signal)
    kept = { greeting, until: performance.now() + KEPT_MS }
    return greeting
  }
  return {
    greeting: async (doing, signal) =>
      kept && performance.now() < kept.until ? kept.greeting : greetAnew(doing, signal),
    greetAnew,
    during: async (work, errorIn = () => undefined) => {
      try {
        const result = await work()
        if (errorIn(result)) kept = undefined
        return result
      } catch (error) {
        kept = undefined
        throw error
      }
    },
  }
}

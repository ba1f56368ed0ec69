import { AppError } from '@tenantry/crds/errors.ts'
import { fingerprint } from '@tenantry/engines/credential.ts'
import type { Address, Change, Engine, Owner, Resource, Session, SessionOptions } from '@tenantry/engines/model.ts'
import type { Tier } from '../platform.ts'

/** One tenant on one tier. `name` is its base name there. */
export interface Place {
  readonly owner: Owner
  readonly name: string
  readonly tenantId: string
  readonly login: string
  readonly password: string
}

/** One engine's part of the floor. Everything but `make` and `logIn` happens outside the measured time. */
export interface Lane {
  readonly tier: Tier
  /** Works out what each tenant needs, by the engine's own comparison with a name that nobody has. */
  plan(places: readonly Place[]): Promise<void>
  /** Sends the statements of one planned tenant. */
  make(place: Place): Promise<void>
  /** A new connection as the tenant and one query; undefined where the server keeps no users. */
  readonly logIn: ((place: Place) => Promise<void>) | undefined
  secretData(place: Place): Readonly<Record<string, string>>
  loginName(name: string): string
  /** Throws unless the engine itself finds nothing left to do for any of the tenants. */
  verify(places: readonly Place[]): Promise<void>
  remove(places: readonly Place[]): Promise<void>
  close(): Promise<void>
}

/** What the bare drivers of one engine do. */
export interface Driver<R extends Resource, S> {
  readonly make: (place: Place, changes: readonly Change<R>[], found: S) => Promise<void>
  readonly logIn: ((place: Place) => Promise<void>) | undefined
  readonly close: () => Promise<void>
}

const UNUSED = 't_nobody_00000000'
const forEver = new AbortController().signal

/** Puts a driver to an engine, whose session plans, verifies and removes. */
export function laneOf<R extends Resource, S>(
  tier: Tier,
  engine: Engine<R, S>,
  driver: Driver<R, S>,
  options: SessionOptions,
): Lane {
  const session = engine.connect(tier.connection, options)
  const plans = new Map<string, readonly Change<R>[]>()
  let found: S | undefined
  const wanted = (place: Place): readonly R[] => resourcesOf(engine, tier, place)
  return {
    tier,
    logIn: driver.logIn,
    plan: async (places) => {
      found = await session.observe([UNUSED], forEver)
      for (const place of places) plans.set(place.name, engine.diff(place.owner, wanted(place), found))
    },
    make: async (place) => {
      const changes = plans.get(place.name)
      if (!changes || found === undefined) throw new Error(`${place.name} was not planned`)
      await driver.make(place, changes, found)
    },
    secretData: ({ name, login, password }) =>
      engine.secretData(tier.connection, addressOf(engine, tier, name), { login, password }),
    loginName: (name) => engine.loginName(name, 'ReadWrite'),
    verify: async (places) => {
      const whole = await session.observe('all', forEver)
      const left = places.flatMap((place) => engine.diff(place.owner, wanted(place), whole))
      if (left.length > 0) throw incomplete(tier, left)
    },
    remove: (places) => remove(session, engine, places, options.maxConnections),
    close: async () => {
      await Promise.all([session.close(), driver.close()])
    },
  }
}

function resourcesOf<R extends Resource, S>(engine: Engine<R, S>, tier: Tier, place: Place): readonly R[] {
  const { name, tenantId, login, password } = place
  return engine.tenantResources({
    isolation: tier.isolation,
    name,
    tenantId,
    shared: '',
    suspended: false,
    logins: [{ access: 'ReadWrite', login, fingerprint: fingerprint(login, password) }],
    limits: {},
    files: tier.files,
  })
}

function addressOf<R extends Resource, S>(engine: Engine<R, S>, tier: Tier, name: string): Address {
  return engine.address({ isolation: tier.isolation, name, shared: '' }, tier.connection)
}

async function remove<R extends Resource, S>(
  session: Session<R, S>,
  engine: Engine<R, S>,
  places: readonly Place[],
  concurrency: number,
): Promise<void> {
  const whole = await session.observe('all', forEver)
  const secrets = (login: string): never => {
    throw new AppError('SecretNotFound', `remove ${login}: no password should be needed`)
  }
  const waiting = [...places]
  const drain = async (): Promise<void> => {
    for (let place = waiting.pop(); place; place = waiting.pop()) {
      const { owner } = place
      const { failed } = await session.apply({ owner, changes: engine.diff(owner, [], whole), secrets }, forEver)
      if (failed) throw failed.error
    }
  }
  await Promise.all(Array.from({ length: concurrency }, drain))
}

function incomplete(tier: Tier, left: readonly Change[]): Error {
  const shown = left.slice(0, 5).map(({ summary }) => summary)
  return new Error(
    `The floor made less on ${tier.name} than the operator does: ${left.length} changes are left: ${shown}`,
  )
}

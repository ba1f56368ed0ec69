/** The suite that every engine must pass, against a real server. Imported by tests only. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Applied, Batch, Change, Engine, Owner, Resource, Scope, Session, SessionOptions } from './model.ts'

/** A named way to damage by hand what Tenantry made, outside its own session. */
export interface Damage {
  readonly name: string
  readonly inflict: () => Promise<void>
}

/** One tenant (or Database) with all it should have, as the harness's engine wants it. */
export interface Subject<R extends Resource> {
  readonly title: string
  readonly owner: Owner
  readonly scope: Scope & readonly string[]
  readonly wanted: readonly R[]
  readonly secrets: Batch['secrets']
  readonly damages: readonly Damage[]
  /** Makes an unmarked object of a name that `wanted` needs; runs before anything else exists. Returns its removal. */
  readonly lookalike?: () => Promise<() => Promise<void>>
  /** Fails unless the customer's data written by `writeData` is still there. */
  readonly data?: { write: () => Promise<void>; isThere: () => Promise<boolean> }
  /** True when nothing of the subject is left on the server, by a query of the harness's own. */
  readonly isGone: () => Promise<boolean>
}

export interface Harness<R extends Resource, S> {
  readonly engine: Engine<R, S>
  /** A session of the harness's own installation, without an epoch unless `fencing` gives one. */
  readonly connect: (fencing?: Pick<SessionOptions, 'epoch' | 'fence'>) => Promise<Session<R, S>>
  /** A fresh, never used subject each time; all of them end up on the same server. */
  readonly subjects: readonly (() => Promise<Subject<R>>)[]
  readonly close: () => Promise<void>
}

const signal = AbortSignal.timeout(600_000)

/** Registers the contract's tests for one engine. */
export function describeContract<R extends Resource, S>(title: string, setUp: () => Promise<Harness<R, S>>): void {
  describe(`${title} keeps the engine contract`, () => {
    let harness: Harness<R, S>
    let session: Session<R, S>
    beforeAll(async () => {
      harness = await setUp()
      session = await harness.connect()
    })
    afterAll(async () => {
      await session?.close()
      await harness?.close()
    })

    const diff = async (s: Subject<R>, wanted: readonly R[] = s.wanted): Promise<readonly Change<R>[]> =>
      harness.engine.diff(s.owner, wanted, await session.observe(s.scope, signal))
    const apply = async (s: Subject<R>, changes: readonly Change<R>[]): Promise<void> => {
      const applied = await session.apply({ owner: s.owner, changes, secrets: s.secrets }, signal)
      if (applied.failed) throw applied.failed.error
      expect(applied.done).toHaveLength(changes.length)
    }
    const created = async (make: () => Promise<Subject<R>>): Promise<Subject<R>> => {
      const subject = await make()
      await apply(subject, await diff(subject))
      return subject
    }
    const each = async (run: (make: () => Promise<Subject<R>>) => Promise<void>): Promise<void> => {
      for (const make of harness.subjects) await run(make)
    }

    test('creates everything, and then finds nothing to do, in a scoped and in a whole-shard snapshot', async () => {
      await each(async (make) => {
        const subject = await created(make)
        expect(await diff(subject), subject.title).toEqual([])
        const whole = await session.observe('all', signal)
        expect(harness.engine.diff(subject.owner, subject.wanted, whole), subject.title).toEqual([])
      })
    })

    test('does not depend on the order of the wanted list', async () => {
      await each(async (make) => {
        const subject = await make()
        const forward = await diff(subject)
        const backward = await diff(subject, subject.wanted.toReversed())
        expect(backward.map((c) => c.summary)).toEqual(forward.map((c) => c.summary))
      })
    })

    test('finds and repairs every kind of damage done by hand', async () => {
      await each(async (make) => {
        const subject = await created(make)
        for (const damage of subject.damages) {
          await damage.inflict()
          const drift = await diff(subject)
          expect(drift, `${subject.title}: ${damage.name} must be seen`).not.toEqual([])
          await apply(subject, drift)
          expect(await diff(subject), `${subject.title}: ${damage.name} must be repaired`).toEqual([])
        }
      })
    })

    test('can be killed after any change and repeated from there', async () => {
      await each(async (make) => {
        const subject = await make()
        const plan = await diff(subject)
        for (let n = 1; n <= plan.length; n++) {
          const rest = await diff(subject)
          if (rest.length === 0) break
          await apply(subject, rest.slice(0, 1))
        }
        await apply(subject, await diff(subject))
        expect(await diff(subject), subject.title).toEqual([])
      })
    })

    test('applying every change a second time does no harm', async () => {
      await each(async (make) => {
        const subject = await make()
        const plan = await diff(subject)
        await apply(subject, plan)
        await apply(subject, plan)
        expect(await diff(subject), subject.title).toEqual([])
        const drops = await diff(subject, [])
        await apply(subject, drops)
        await apply(subject, drops)
        expect(await diff(subject, []), subject.title).toEqual([])
      })
    })

    test('does not touch an unmarked look-alike unless it is adopted', async () => {
      await each(async (make) => {
        const subject = await make()
        if (!subject.lookalike) return
        const remove = await subject.lookalike()
        const plan = await diff(subject)
        const blocked = plan.filter((c) => c.blocked)
        expect(
          blocked.map((c) => c.op),
          subject.title,
        ).toEqual(expect.arrayContaining(['adopt']))
        expect(blocked.every((c) => c.blocked?.code === 'Conflict' && c.blocked.adoptable)).toBe(true)
        expect(await diff(subject, []), 'nothing of it is ours to drop').toEqual([])
        await apply(subject, await diff(subject))
        expect(await diff(subject), `${subject.title}: adopted`).toEqual([])
        await remove().catch(() => undefined)
      })
    })

    test("never touches another installation's objects, whatever is annotated", async () => {
      await each(async (make) => {
        const subject = await created(make)
        const stranger = { ...subject.owner, installation: 'another-installation' }
        const plan = harness.engine.diff(stranger, subject.wanted, await session.observe(subject.scope, signal))
        expect(plan.filter((c) => c.blocked && !c.blocked.adoptable).length, subject.title).toBeGreaterThan(0)
        expect(harness.engine.diff(stranger, [], await session.observe(subject.scope, signal))).toEqual([])
      })
    })

    test('takes its own objects up again under a new uid', async () => {
      await each(async (make) => {
        const subject = await created(make)
        const reborn = { ...subject, owner: { ...subject.owner, uid: crypto.randomUUID() } }
        const plan = await diff(reborn)
        expect(plan.length, subject.title).toBeGreaterThan(0)
        expect(
          plan.every((c) => c.op === 'adopt' && !c.blocked),
          subject.title,
        ).toBe(true)
        await apply(reborn, plan)
        expect(await diff(reborn)).toEqual([])
      })
    })

    test('keeps the data and no login when only non-data changes are dropped', async () => {
      await each(async (make) => {
        const subject = await created(make)
        await subject.data?.write()
        const drops = await diff(subject, [])
        await apply(
          subject,
          drops.filter((c) => !c.target.data),
        )
        if (subject.data) expect(await subject.data.isThere(), subject.title).toBe(true)
        expect(
          (await diff(subject, [])).every((c) => c.target.data),
          subject.title,
        ).toBe(true)
      })
    })

    test('refuses every change of an older epoch, and obeys a newer one', async () => {
      const fence = `contract-${crypto.randomUUID()}`
      const connect = (epoch: number, of = fence) => harness.connect({ epoch: () => epoch, fence: of })
      const [four, five, six, other] = [await connect(4), await connect(5), await connect(6), await connect(1, 'x')]
      const applyBy = (by: Session<R, S>, s: Subject<R>, changes: readonly Change<R>[]): Promise<Applied<R>> =>
        by.apply({ owner: s.owner, changes, secrets: s.secrets }, signal)
      const refused = async (by: Session<R, S>, s: Subject<R>, wanted: readonly R[]): Promise<void> => {
        // Not the snapshots themselves: what others own is in them as well, and changes meanwhile.
        const state = async () => [await diff(s), await diff(s, [])]
        const before = await state()
        for (const change of await diff(s, wanted)) {
          const { done, failed } = await applyBy(by, s, [change])
          expect([done, failed?.error.code], `${s.title}: ${change.summary}`).toEqual([[], 'Fenced'])
        }
        expect(await state(), s.title).toEqual(before)
      }
      const obeyed = async (by: Session<R, S>, s: Subject<R>, wanted: readonly R[]): Promise<void> => {
        expect((await applyBy(by, s, await diff(s, wanted))).failed, s.title).toBeUndefined()
        expect(await diff(s, wanted), s.title).toEqual([])
      }
      await each(async (make) => {
        const subject = await make()
        await obeyed(five, subject, subject.wanted)
        await subject.data?.write()
        await refused(four, subject, [])
        if (subject.data) expect(await subject.data.isThere(), subject.title).toBe(true)
        await obeyed(five, subject, [])
        await refused(four, subject, subject.wanted)
        await obeyed(other, subject, subject.wanted)
        await obeyed(session, subject, [])
      })
      await each(async (make) => {
        const subject = await make()
        await obeyed(six, subject, subject.wanted)
        await refused(five, subject, [])
        await obeyed(six, subject, [])
      })
      for (const s of [four, five, six, other]) await s.close()
    })

    test('drops everything and leaves nothing behind', async () => {
      await each(async (make) => {
        const subject = await created(make)
        await subject.data?.write()
        await apply(subject, await diff(subject, []))
        expect(await diff(subject, []), subject.title).toEqual([])
        expect(await subject.isGone(), subject.title).toBe(true)
      })
    })

    test('marks dropping data as destructive and shows statements without secrets', async () => {
      await each(async (make) => {
        const subject = await make()
        const plan = await diff(subject)
        await apply(subject, plan)
        const drops = await diff(subject, [])
        expect(drops.some((c) => c.risk === 'destructive' && c.target.data) || !drops.some((c) => c.target.data)).toBe(
          true,
        )
        for (const change of [...plan, ...drops]) expect(Array.isArray(harness.engine.statements(change))).toBe(true)
        const shown = JSON.stringify([...plan, ...drops].map((c) => [c, harness.engine.statements(c)]))
        expect(shown).not.toMatch(/SCRAM-SHA-256\$\d+:[A-Za-z0-9+/]/)
      })
    })
  })
}

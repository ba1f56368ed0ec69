import { describe, expect, test } from 'vitest'
import { silentLog } from '../telemetry/log.ts'
import { ObjectStore, type StoreChange } from './store.ts'
import type { KubeObject } from './types.ts'

interface Thing extends KubeObject {
  readonly colours?: readonly string[]
}

function thing(
  name: string,
  version: number,
  more: { uid?: string; colours?: string[] } & Partial<Thing['metadata']> = {},
): Thing {
  const { colours = [], uid = `uid-${name}`, ...metadata } = more
  return { metadata: { name, namespace: 'ns', uid, resourceVersion: String(version), ...metadata }, colours }
}

function makeStore() {
  const store = new ObjectStore<Thing>(silentLog, { colour: (object) => object.colours ?? [] })
  const changes: string[] = []
  const say = (object: Thing | undefined): string => object?.metadata.resourceVersion ?? 'nothing'
  store.onChange(({ type, object, previous, source }: StoreChange<Thing>) => {
    changes.push(`${source} ${type} ${object.metadata.name} ${previous ? `${say(previous)}→` : ''}${say(object)}`)
  })
  return { store, changes, version: (name: string) => store.get(`ns/${name}`)?.metadata.resourceVersion }
}

const listing = (...things: Thing[]) => new Map(things.map((each) => [`ns/${each.metadata.name}`, each]))

describe('the store', () => {
  test('tells of what is added, updated and deleted', () => {
    const { store, changes } = makeStore()
    store.put(thing('a', 1))
    store.put(thing('a', 2))
    store.remove(thing('a', 3))
    expect(changes).toEqual(['watch added a 1', 'watch updated a 1→2', 'watch deleted a 3'])
    expect(store.size).toBe(0)
  })

  test('finds objects by index, and no longer by values they had', () => {
    const { store } = makeStore()
    store.put(thing('a', 1, { colours: ['red', 'green'] }))
    store.put(thing('b', 2, { colours: ['red'] }))
    store.put(thing('a', 3, { colours: ['blue'] }))
    expect(store.byIndex('colour', 'red').map(({ metadata }) => metadata.name)).toEqual(['b'])
    expect(store.byIndex('colour', 'blue').map(({ metadata }) => metadata.name)).toEqual(['a'])
    expect(store.byIndex('colour', 'green')).toEqual([])
    store.remove(thing('b', 4))
    expect(store.byIndex('colour', 'red')).toEqual([])
    expect(() => store.byIndex('size', 'big')).toThrow('no index size')
  })

  test('makes up the deletions that a listing shows, and repeats nothing that stayed', async () => {
    const { store, changes } = makeStore()
    await store.replace(listing(thing('a', 1), thing('b', 2), thing('c', 3)), '5')
    changes.length = 0
    await store.replace(listing(thing('a', 1), thing('c', 7), thing('d', 8)), '9')
    expect(changes).toEqual(['list updated c 3→7', 'list added d 8', 'list deleted b 2'])
  })

  test('takes a name with a new uid for another object', async () => {
    const { store, changes } = makeStore()
    store.put(thing('a', 1))
    await store.replace(listing(thing('a', 7, { uid: 'other' })), '9')
    expect(changes).toEqual(['watch added a 1', 'list deleted a 1', 'list added a 7'])
  })

  test('shows an own write at once, and no older event undoes it', () => {
    const { store, changes, version } = makeStore()
    store.put(thing('a', 1))
    store.observe(thing('a', 5))
    expect(version('a')).toBe('5')
    store.put(thing('a', 5))
    store.put(thing('a', 6))
    expect(changes).toEqual(['watch added a 1', 'write updated a 1→5', 'watch updated a 5→6'])
  })

  test('tells of somebody else’s change that an own write carried in', () => {
    const { store, changes, version } = makeStore()
    store.put(thing('a', 1))
    store.observe(thing('a', 5))
    store.observe(thing('a', 8))
    for (const [event, told] of [
      [3, 1],
      [5, 0],
      [7, 1],
      [8, 0],
    ] as const) {
      changes.length = 0
      store.put(thing('a', event))
      expect(changes, `event ${event}`).toEqual(told ? ['watch updated a 1→8'] : [])
    }
    expect(version('a')).toBe('8')
  })

  test('tells of an object that was listed at the version of an own write, for something may have come between', async () => {
    const { store, changes } = makeStore()
    store.put(thing('a', 1))
    store.observe(thing('a', 5))
    changes.length = 0
    await store.replace(listing(thing('a', 5)), '6')
    await store.replace(listing(thing('a', 5)), '6')
    expect(changes).toEqual(['list updated a 1→5'])
  })

  test('does not bring back what was deleted before the answer to the write arrived', () => {
    const { store, version } = makeStore()
    store.put(thing('a', 1))
    store.put(thing('a', 5))
    store.remove(thing('a', 6))
    store.observe(thing('a', 5))
    expect(version('a')).toBeUndefined()
  })

  test('keeps what was written after the listing was made', async () => {
    const { store, version } = makeStore()
    store.observe(thing('new', 12))
    store.observe(thing('gone', 8))
    await store.replace(listing(thing('a', 1)), '10')
    expect([version('new'), version('gone'), version('a')]).toEqual(['12', undefined, '1'])
  })

  test('lets an object go with its last finalizer, and no older event brings it back', () => {
    const { store, changes, version } = makeStore()
    const deletionTimestamp = '2026-01-01T00:00:00Z'
    store.put(thing('a', 1, { finalizers: ['x'] }))
    store.observe(thing('a', 6, { deletionTimestamp, finalizers: [] }))
    expect(version('a')).toBeUndefined()
    store.put(thing('a', 5, { deletionTimestamp, finalizers: ['x'] }))
    store.remove(thing('a', 6))
    expect(changes).toEqual(['watch added a 1', 'write deleted a 6'])
    store.put(thing('a', 9, { uid: 'other' }))
    expect(version('a')).toBe('9')
  })

  test('believes a server whose history went back', async () => {
    const { store, changes, version } = makeStore()
    await store.replace(listing(thing('a', 100), thing('b', 101)), '200')
    changes.length = 0
    await store.replace(listing(thing('a', 50), thing('c', 60)), '70')
    expect(changes).toEqual(['list updated a 100→50', 'list added c 60', 'list deleted b 101'])
    store.put(thing('a', 71))
    expect(version('a')).toBe('71')
  })

  test('goes on when a listener fails', () => {
    const { store, version } = makeStore()
    store.onChange(() => {
      throw new Error('a bad listener')
    })
    store.put(thing('a', 1))
    expect(version('a')).toBe('1')
  })

  test('takes no resourceVersion that is not a number', () => {
    const { store } = makeStore()
    expect(() => store.put(thing('a', Number.NaN))).toThrow('is not a number')
  })

  test('lets others run while it takes in a long listing', async () => {
    const { store } = makeStore()
    let turns = 0
    const count = (): void => {
      turns++
      if (store.size < 50_000) setImmediate(count)
    }
    count()
    await store.replace(listing(...Array.from({ length: 50_000 }, (_, n) => thing(`t${n}`, n + 1))), '60000')
    expect(turns).toBeGreaterThan(2)
  })
})

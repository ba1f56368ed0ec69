import type { Node, RangeVar, SelectStmt, TypeName } from 'libpg-query'

type KeysOf<T> = T extends T ? keyof T : never
type Pick1<T, K extends PropertyKey> = T extends Record<K, infer V> ? V : never

/** A kind of node of Postgres' parse trees, such as `DropStmt`. */
export type Kind = KeysOf<Node>

/** The fields of a node of that kind. */
export type Fields<K extends Kind> = Pick1<Node, K>

/** A node of a tree together with its kind. */
export type Visited = { readonly [K in Kind]: { readonly kind: K; readonly node: Fields<K> } }[Kind]

/** The kind and the fields of a node. */
export function unwrap(node: Node): Visited {
  const [kind = ''] = Object.keys(node)
  return { kind, node: Reflect.get(node, kind) } as Visited
}

/** The fields of a node if it is of the kind. */
export function as<K extends Kind>(kind: K, node: Node | undefined): Fields<K> | undefined {
  return node !== undefined && Object.hasOwn(node, kind) ? (Reflect.get(node, kind) as Fields<K>) : undefined
}

/** Every node of a statement, itself first. Without recursion: an expression may be nested deeper than our stack is. */
export function* nodesOf(root: Node): Generator<Visited> {
  const open: object[] = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const visited = recognise(value)
    if (visited) yield visited
    for (const child of Object.values(visited?.node ?? value).reverse()) if (isObject(child)) open.push(child)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** In the trees most nodes are wrapped in their kind; some are told only by the place they are at, or by their fields. */
function recognise(value: object): Visited | undefined {
  if ('relname' in value) return { kind: 'RangeVar', node: value as RangeVar }
  if ('names' in value) return { kind: 'TypeName', node: value as TypeName }
  if ('targetList' in value && 'limitOption' in value) return { kind: 'SelectStmt', node: value as SelectStmt }
  for (const key in value) {
    const first = key.charCodeAt(0)
    if (first < CAPITALS.first || first > CAPITALS.last) return undefined
    const node: unknown = Reflect.get(value, key)
    return isObject(node) ? ({ kind: key, node } as Visited) : undefined
  }
  return undefined
}

/** The name of a kind begins with one; that of a field, or an index, does not. */
const CAPITALS = { first: 'A'.charCodeAt(0), last: 'Z'.charCodeAt(0) }

/** The names in a list of `String` nodes: `a.b` is `['a', 'b']`. */
export function names(list: readonly Node[] | undefined): readonly string[] {
  const found: string[] = []
  for (const node of list ?? []) {
    const text = as('String', node)?.sval
    if (text !== undefined) found.push(text)
  }
  return found
}

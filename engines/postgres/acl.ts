/** Privilege letters by grantee; the empty name is PUBLIC. A `*` behind a letter is its grant option. */
export type Acl = ReadonlyMap<string, string>

/**
 * Reads Postgres' text form of ACL items, `grantee=privileges/grantor`. A name is in double quotes when it holds anything
 * but letters, digits and underscores. Grants of several grantors to one grantee are joined.
 */
export function parseAcl(items: readonly string[] | null | undefined): Acl {
  const acl = new Map<string, string>()
  for (const item of items ?? []) {
    const { name, rest } = readName(item)
    const privileges = rest.slice(1).split('/')[0] ?? ''
    acl.set(name, (acl.get(name) ?? '') + privileges)
  }
  return acl
}

function readName(item: string): { name: string; rest: string } {
  if (!item.startsWith('"')) {
    const end = item.indexOf('=')
    return { name: item.slice(0, end), rest: item.slice(end) }
  }
  const quoted = /^"((?:[^"]|"")*)"/.exec(item)
  const name = quoted?.[1] ?? ''
  return { name: name.replaceAll('""', '"'), rest: item.slice(name.length + 2) }
}

/** What an ACL grants beyond or short of the wanted privileges; grants of `ignored` roles do not count. */
export function compareAcl(
  found: Acl,
  wanted: Readonly<Record<string, string>>,
  ignored: readonly string[],
): { readonly missing: readonly string[]; readonly foreign: readonly string[] } {
  const missing = Object.entries(wanted)
    .filter(([name, privileges]) => !sameLetters(found.get(name) ?? '', privileges))
    .map(([name]) => name)
  const foreign = [...found.keys()].filter((name) => !Object.hasOwn(wanted, name) && !ignored.includes(name))
  return { missing, foreign: foreign.map(displayGrantee).toSorted() }
}

/** PUBLIC has no name in an ACL. */
export function displayGrantee(name: string): string {
  return name === '' ? 'PUBLIC' : name
}

function sameLetters(a: string, b: string): boolean {
  return [...a].toSorted().join('') === [...b].toSorted().join('')
}

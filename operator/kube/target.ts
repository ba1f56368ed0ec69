import type { Verb } from './requests.ts'
import { type ResourceType, resourceName } from './types.ts'

/** What a request is aimed at, within a resource type. */
export interface Target {
  readonly verb: Verb
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  /** The name to say in messages where the path has none. */
  readonly subject?: string
  readonly subresource?: string | undefined
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
}

/** `apply tenants.tenantry.dev/status shop/acme`: how messages begin. */
export function describeTarget(type: ResourceType, { verb, namespace, name, subject, subresource }: Target): string {
  const object = [namespace, name ?? subject].filter((part) => part !== undefined).join('/')
  return `${verb} ${resourceName(type)}${subresource ? `/${subresource}` : ''}${object ? ` ${object}` : ''}`
}

/** The path with its query. Undefined and empty parameters are left out. */
export function pathOf(type: ResourceType, { namespace, name, subresource, query = {} }: Target): string {
  const root = type.group === '' ? ['api', type.version] : ['apis', type.group, type.version]
  const scope = type.namespaced && namespace !== undefined ? ['namespaces', namespace] : []
  const rest = [type.plural, name, subresource].filter((part) => part !== undefined)
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') search.set(key, String(value))
  }
  const path = `/${[...root, ...scope, ...rest].map(encodeURIComponent).join('/')}`
  return search.size > 0 ? `${path}?${search}` : path
}

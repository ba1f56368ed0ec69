import { AppError } from '@tenantry/crds/errors.ts'

const PLACEHOLDER = /\$(?<escaped>\$)?\((?<key>[\w.-]+)\)/g

/**
 * Renders a Tenant's `secretTemplate`: `$(key)` stands for a key of the generated Secret and `$$(key)` for the text itself,
 * as in a Pod's environment. Throws `InvalidSpec` that names the template's key, never a value.
 */
export function renderTemplate(
  template: Readonly<Record<string, string>>,
  values: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(template).map(([name, text]) => [
      name,
      text.replaceAll(PLACEHOLDER, (whole, escaped: string | undefined, key: string) =>
        escaped === undefined ? lookUp(name, key, values) : whole.slice(1),
      ),
    ]),
  )
}

function lookUp(name: string, key: string, values: Readonly<Record<string, string>>): string {
  const found = Object.hasOwn(values, key) ? values[key] : undefined
  if (found !== undefined) return found
  const known = Object.keys(values).toSorted().join(', ')
  throw new AppError('InvalidSpec', `render secretTemplate.${name}: there is no key "${key}"; use one of ${known}`)
}

import { API_VERSION, type Rule } from './common.ts'
import { kindSchema } from './crd.ts'
import { ERRORS, type Retry } from './errors.ts'
import type { KindDefinition } from './kind.ts'
import type { Structural } from './structural.ts'

/** Markdown reference of a kind: a table for each object of its schema, with the rules that hold between fields. */
export function kindReference(kind: KindDefinition): string {
  const schema = kindSchema(kind)
  const names = [`\`${kind.singular}\``, `\`${kind.plural}\``, ...kind.shortNames.map((name) => `\`${name}\``)]
  const sections = ['spec', 'status'].flatMap((name) => {
    const node = schema.properties?.[name]
    return node ? [`## ${name}\n\n${node.description}\n`, ...tables(node, name)] : []
  })
  return [
    `# ${kind.kind}\n`,
    `${kind.description}\n`,
    `\`${API_VERSION}\`, namespaced. In kubectl: ${names.join(', ')}; with its siblings: \`kubectl get tenantry\`.\n`,
    ...sections,
  ].join('\n')
}

/** A table of the node's fields, its rules, and then the same for each object below it. */
function tables(node: Structural, path: string): readonly string[] {
  const fields = Object.entries(node.properties ?? {})
  const rows = fields.map(
    ([name, field]) =>
      `| \`${name}\` | ${cell(typeText(field))} | ${cell(defaultText(field, node.required?.includes(name)))} | ${cell(field.description ?? '')} |`,
  )
  const below = fields.flatMap(([name, field]) => {
    const [child, suffix] = objectBelow(field)
    const at = `${path}.${name}${suffix}`
    return child ? [`### ${at}\n`, ...tables(child, at)] : []
  })
  const rules = [...rulesOf(node), ...fields.flatMap(([, field]) => ownRules(field))]
  return ['| field | type | default | |\n|---|---|---|---|', `${rows.join('\n')}\n`, ...ruleList(rules), ...below]
}

/** Rules of a field that gets no table of its own, or that speak of the list as a whole. */
function ownRules(field: Structural): readonly Rule[] {
  return field.type === 'object' && field.properties ? [] : rulesOf(field)
}

function rulesOf(node: Structural): readonly Rule[] {
  return node['x-kubernetes-validations'] ?? []
}

function ruleList(rules: readonly Rule[]): readonly string[] {
  return rules.length === 0 ? [] : ['Rejected with:\n', `${rules.map(({ message }) => `- ${message}`).join('\n')}\n`]
}

function objectBelow(field: Structural): readonly [Structural | undefined, string] {
  if (field.type === 'array') return field.items?.properties ? [field.items, '[]'] : [undefined, '']
  return field.properties ? [field, ''] : [undefined, '']
}

function typeText(field: Structural): string {
  if (field.type === 'array') return `list of ${field.items ? typeText(field.items) : 'anything'}`
  if (field.additionalProperties) return `map of ${typeText(field.additionalProperties)}`
  if (field.enum) return field.enum.map((value) => `\`${value}\``).join(' \\| ')
  return field.format === 'date-time' ? 'time' : field.type
}

function defaultText(field: Structural, required: boolean | undefined): string {
  if (required) return 'required'
  return field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``
}

function cell(text: string): string {
  return text
    .replaceAll('\n', ' ')
    .replaceAll(/(?<!\\)\|/g, '\\|')
    .replaceAll('<', '&lt;')
}

const RETRY: Readonly<Record<Retry, string>> = {
  backoff: 'Tried again soon, with growing pauses of up to five minutes.',
  slow: 'Tried again at the pace of the drift check (`Database.spec.interval`), and at once when something it depends on changes.',
  never: 'Not tried again until the spec changes.',
}

/** Markdown reference of the error codes: a heading for each. */
export function errorReference(): string {
  const entries = Object.entries(ERRORS).map(
    ([code, { title, retry }]) => `## ${code}\n\n${title}.\n\n${RETRY[retry]}\n`,
  )
  return [
    '# Errors\n',
    'A code is the `reason` of the condition `Ready` and the label `code` of error metrics. The message of the condition says what was tried on what, what was wrong, and what to do.\n',
    ...entries,
  ].join('\n')
}

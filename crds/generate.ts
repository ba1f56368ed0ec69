import { stringify } from 'yaml'
import { GROUP } from './common.ts'
import { customResourceDefinition } from './crd.ts'
import { KINDS } from './kinds.ts'
import { errorReference, kindReference } from './reference.ts'

/** A generated file: its path from the root of the repository, and its text. */
export interface GeneratedFile {
  readonly path: string
  readonly text: string
}

const NOTICE = 'Generated from crds/ by `npm run generate`. Do not edit.'

/** All files made from the schemas and the error table. */
export function generate(): readonly GeneratedFile[] {
  const kinds = KINDS.flatMap((kind) => [
    {
      path: `crds/generated/${GROUP}_${kind.plural}.yaml`,
      text: `# ${NOTICE}\n${stringify(customResourceDefinition(kind), { lineWidth: 0, aliasDuplicateObjects: false })}`,
    },
    { path: `docs/reference/${kind.singular}.md`, text: `<!-- ${NOTICE} -->\n\n${kindReference(kind)}` },
  ])
  return [...kinds, { path: 'docs/reference/errors.md', text: `<!-- ${NOTICE} -->\n\n${errorReference()}` }]
}

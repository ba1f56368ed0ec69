import { CONTROL } from '../names.ts'
import { text } from '../sql/quote.ts'

/** The call that runs what is `given` (see routines.ts) as the owner of the schema. */
export function powerless(
  { schema, owner }: { readonly schema: string; readonly owner: string },
  alone = true,
): string {
  return `${CONTROL}.run_file(${text(schema)}, ${text(owner)}, ${alone})`
}

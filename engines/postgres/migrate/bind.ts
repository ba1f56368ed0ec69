import { AppError } from '@tenantry/crds/errors.ts'
import type { Placeholder, SqlText } from '../../model.ts'
import { name, text } from '../sql/quote.ts'
import { replaced } from './placeholders.ts'

/** A SQL text with the values that its placeholders stand for. `tenant` is absent for tables that tenants share. */
export interface Bindable extends Pick<SqlText, 'name' | 'body' | 'placeholders'> {
  readonly schema: string
  readonly tenant?: string
}

/** The text to run: each placeholder quoted as the name or the string that it stands for. Throws `MigrationFailed` without a value. */
export function bind({ name: file, body, placeholders = [], schema, tenant }: Bindable): string {
  const wanted = ({ value }: Placeholder): string => {
    const found = value === 'schema' ? schema : tenant
    if (found !== undefined) return found
    const reason = `it asks for :'tenant', and the tables of schema "${schema}" belong to no single one`
    throw new AppError('MigrationFailed', `read SQL file ${file}: ${reason}; take the placeholder out`)
  }
  return replaced(body, placeholders, (placeholder) =>
    placeholder.as === 'identifier' ? name(wanted(placeholder)) : text(wanted(placeholder)),
  )
}

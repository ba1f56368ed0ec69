import type { SchemaSubject } from '../../model.ts'
import type { Read } from '../observe.ts'
import type { LedgerForm } from './ledger.ts'
import { type Entry, type Picture, pictureOf } from './picture.ts'
import { digestQuery, PICTURES } from './queries.ts'

/** A schema as one look tells it: a hash over all its objects, and the live files of its ledger as `version checksum`. */
export interface Digest {
  readonly schema: string
  readonly digest: string
  readonly files: readonly string[]
}

/** One query, and one row for each schema that is there. */
export async function readDigests(
  read: Read,
  subjects: readonly SchemaSubject[],
  form: LedgerForm,
): Promise<readonly Digest[]> {
  return await read<Digest>(digestQuery(form), parametersOf(subjects))
}

/** One query; every object of the schemas crosses the wire. */
export async function readPictures(
  read: Read,
  subjects: readonly SchemaSubject[],
): Promise<ReadonlyMap<string, Picture>> {
  const rows = await read<{ schema: string; objects: Entry[] }>(PICTURES, parametersOf(subjects))
  return new Map(rows.map(({ schema, objects }) => [schema, pictureOf(objects)]))
}

function parametersOf(subjects: readonly SchemaSubject[]): readonly unknown[] {
  return [subjects.map(({ schema }) => schema), subjects.map(({ tenant }) => tenant ?? null)]
}

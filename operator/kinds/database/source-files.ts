import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { MigrationFile } from '@tenantry/engines/model.ts'
import { CONFIG_MAPS, type ConfigMap } from '../../kube/types.ts'
import type { References } from '../../references.ts'
import { migrationFiles } from './migration-files.ts'

/** The parsed SQL files of each Database, parsed again only when one of its ConfigMaps changed: all its tenants share them. */
export class SourceFiles {
  readonly #references: Pick<References, 'get'>
  readonly #parsed = new Map<
    string,
    { readonly from: readonly ConfigMap[]; readonly files: readonly MigrationFile[] }
  >()

  constructor(references: Pick<References, 'get'>) {
    this.#references = references
  }

  /** All files in order; [] where the Database names no sources. Throws AppError `SourceNotFound`, `SourceInvalid`. */
  async read(database: Database): Promise<readonly MigrationFile[]> {
    const key = `${database.metadata.namespace}/${database.metadata.name}`
    const from = await Promise.all(configMapNames(database).map((name) => this.#configMap(key, database, name)))
    const before = this.#parsed.get(key)
    if (before && before.from.length === from.length && before.from.every((map, i) => map === from[i]))
      return before.files
    const files = migrationFiles(from.map(({ metadata, data = {} }) => ({ name: metadata.name, data })))
    this.#parsed.set(key, { from, files })
    return files
  }

  forget(key: string): void {
    this.#parsed.delete(key)
  }

  async #configMap(key: string, database: Database, name: string): Promise<ConfigMap> {
    const { namespace } = database.metadata
    const found = await this.#references.get(key, CONFIG_MAPS, { namespace, name })
    if (found) return found
    throw new AppError(
      'SourceNotFound',
      `read the SQL files of Database ${key}: there is no ConfigMap ${namespace}/${name}; create it or correct spec.schema.sources`,
    )
  }
}

export function configMapNames({ spec }: Database): readonly string[] {
  return spec.schema?.sources.map(({ configMapRef }) => configMapRef.name) ?? []
}

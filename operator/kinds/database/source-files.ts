import type { Database } from '@tenantry/crds/database.ts'
import { AppError } from '@tenantry/crds/errors.ts'
import type { DownFile } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'
import type { Analyst } from '../../analysis/analyst.ts'
import { CONFIG_MAPS, type ConfigMap } from '../../kube/types.ts'
import type { References } from '../../references.ts'
import { migrationFiles, type ParsedFile } from './migration-files.ts'
import { normalized, type SchemaFile } from './rollout/plan.ts'

/** What may be a placeholder. */
const PLACEHOLDER = /:["'](?:schema|tenant)["']/

/** Engines without transactions cannot undo a file wholly or not at all. */
const ONE_WAY = { irreversible: 'only PostgreSQL can undo a file wholly or not at all' }

interface Read {
  readonly from: readonly ConfigMap[]
  /** What of the spec the files depend on. */
  readonly asked: string
  readonly files: Promise<readonly SchemaFile[]>
}

/** The SQL files of each Database, read again only when one of its ConfigMaps changed: all its tenants share them. */
export class SourceFiles {
  readonly #references: Pick<References, 'get'>
  readonly #analyst: Analyst
  readonly #known = new Map<string, Read>()

  constructor(references: Pick<References, 'get'>, analyst: Analyst) {
    this.#references = references
    this.#analyst = analyst
  }

  /** All files in order; [] where the Database names no sources. Throws AppError `SourceNotFound`, `SourceInvalid`. */
  async read(database: Database): Promise<readonly SchemaFile[]> {
    const { namespace, name } = database.metadata
    const key = `${namespace}/${name}`
    const from = await Promise.all(configMapNames(database).map((one) => this.#configMap(key, database, one)))
    const { target, repair } = database.spec.schema ?? {}
    const asked = JSON.stringify([target, repair])
    const before = this.#known.get(key)
    if (before?.asked === asked && before.from.length === from.length && before.from.every((map, i) => map === from[i]))
      return await before.files
    const read = { from, asked, files: this.#read(database, from) }
    this.#known.set(key, read)
    const forget = (): void => {
      if (this.#known.get(key) === read) this.#known.delete(key)
    }
    read.files.catch(forget)
    return await read.files
  }

  forget(key: string): void {
    this.#known.delete(key)
  }

  async #read(database: Database, from: readonly ConfigMap[]): Promise<readonly SchemaFile[]> {
    const files = migrationFiles(from.map(({ metadata, data = {} }) => ({ name: metadata.name, data })))
    const { target, repair = [] } = database.spec.schema ?? {}
    const repaired = new Map(repair.map(({ version, checksum }) => [normalized(version), checksum]))
    const lowest = normalized(target)
    return await Promise.all(
      files.map(async (file) => {
        const reverts = lowest !== undefined && compareVersions(file.version, lowest) > 0
        const sound = database.spec.engine === 'PostgreSQL' ? await this.#prepare(file, reverts) : ONE_WAY
        const { version, name, checksum, body } = file
        const repairs = repaired.get(version) === checksum
        return { version, name, checksum, body, ...sound, ...(repairs && { repair: true }) }
      }),
    )
  }

  /** Only what cannot be run as it stands is read by the parser. */
  async #prepare(file: ParsedFile, reverts: boolean): Promise<Partial<SchemaFile>> {
    const { transaction } = file.header
    const plain = transaction && !PLACEHOLDER.test(file.body)
    const runnable = plain ? {} : await this.#analyst.ask('run', file, { transaction })
    return reverts ? { ...runnable, ...(await this.#undoing(file)) } : runnable
  }

  async #undoing({ undo }: ParsedFile): Promise<{ readonly down?: DownFile; readonly irreversible?: string }> {
    if (!undo) return {}
    const found = await this.#analyst.ask('undo', undo, {})
    if ('reason' in found) return { irreversible: `of ${undo.name}, ${found.reason}` }
    return { down: { ...undo, ...found } }
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

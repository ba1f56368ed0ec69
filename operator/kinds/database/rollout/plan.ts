import { createHash } from 'node:crypto'
import type { MigrationFile } from '@tenantry/engines/model.ts'
import { compareVersions } from '@tenantry/engines/versions.ts'
import { digestOf, releaseOf } from './released.ts'
import type { Unit } from './unit.ts'

/** A SQL file; without `down`, `irreversible` may say why. */
export interface SchemaFile extends MigrationFile {
  readonly irreversible?: string
}

/** What was found in a file: why it must not be applied, and what of it somebody has to approve. */
export interface Judgement {
  readonly refusal?: string
  readonly approvals: readonly string[]
}

/** Where a rollout is to bring everybody. */
export interface Plan {
  /** All files that a tenant has in the end, in order. */
  readonly files: readonly SchemaFile[]
  /** Some unit has files above the target, which are undone. */
  readonly reverting: boolean
  readonly digest: string
  readonly target?: string
  /** Why it stops before the version `refused`, or does not begin. */
  readonly refusal?: string
  readonly refused?: string
  readonly approvals: readonly string[]
}

export interface PlanInput {
  readonly files: readonly SchemaFile[]
  /** As the spec has it: undefined for the last file. */
  readonly target: string | undefined
  readonly released: readonly string[]
  readonly units: readonly Unit[]
  /** By version; of those that `filesToJudge` names. */
  readonly judgements: ReadonlyMap<string, Judgement>
}

/** Files up to the target that were not released with this text: only these are judged. */
export function filesToJudge({ files, target, released }: Omit<PlanInput, 'judgements' | 'units'>) {
  const release = releaseOf(released)
  return upTo(files, target).filter((file) => release(file) !== 'released')
}

/** Works out where everybody is to be. Pure. */
export function planOf(input: PlanInput): Plan {
  const { files, released, units } = input
  const target = normalized(input.target)
  const refusal = unreachable(files, target) ?? irreversible(files, target, { released, units })
  const release = releaseOf(released)
  if (refusal !== undefined) {
    const kept = files.filter((file) => release(file) === 'released')
    return { ...ending(kept), reverting: false, refusal, approvals: [] }
  }
  const wanted = upTo(files, target)
  const refused = wanted.find((file) => input.judgements.get(file.version)?.refusal !== undefined)
  const accepted = wanted.filter((file) => release(file) === 'released' || isBefore(file, refused?.version))
  const reverting =
    target !== undefined && units.some((unit) => unit.version && compareVersions(unit.version, target) > 0)
  const approvals = accepted.flatMap(({ version }) => input.judgements.get(version)?.approvals ?? [])
  const reason = refused && input.judgements.get(refused.version)?.refusal
  return {
    ...ending(accepted),
    reverting,
    approvals,
    ...(refused && { refused: refused.version }),
    ...(reason !== undefined && { refusal: reason }),
  }
}

/** Names exactly what is approved: these files with their texts. */
export function approvalOf({ digest, approvals }: Plan): string {
  const lines = [digest, ...approvals]
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}

/** A file may be brought to tenants only where it comes before the refused one. */
export function isBefore({ version }: MigrationFile, refused: string | undefined): boolean {
  return refused === undefined || compareVersions(version, refused) < 0
}

/** The number without leading zeros, as versions are compared. */
export function normalized(target: string | undefined): string | undefined {
  return target?.replace(/^0+(?=\d)/, '')
}

export function upTo<F extends MigrationFile>(files: readonly F[], target: string | undefined): readonly F[] {
  const last = normalized(target)
  return last === undefined ? files : files.filter(({ version }) => compareVersions(version, last) <= 0)
}

function ending(files: readonly SchemaFile[]): Pick<Plan, 'files' | 'digest' | 'target'> {
  const target = files.at(-1)?.version
  return { files, digest: digestOf(files), ...(target !== undefined && { target }) }
}

/** Zero is before the first file. */
function unreachable(files: readonly SchemaFile[], target: string | undefined): string | undefined {
  if (target === undefined || target === '0' || files.some(({ version }) => version === target)) return undefined
  const known = files.slice(-5).map(({ version }) => version)
  return `no SQL file has the number ${target} that spec.schema.target asks for; the last ones are ${known.join(', ')}`
}

/** Everything that anybody may have above the target must be undone, or nothing is. */
function irreversible(
  files: readonly SchemaFile[],
  target: string | undefined,
  { released, units }: Pick<PlanInput, 'released' | 'units'>,
): string | undefined {
  if (target === undefined) return undefined
  const release = releaseOf(released)
  const highest = units
    .flatMap(({ version }) => version ?? [])
    .toSorted(compareVersions)
    .at(-1)
  if (highest === undefined) return undefined
  const above = files.filter(({ version }) => compareVersions(version, target) > 0)
  const lost = above.find(
    (file) => !file.down && (release(file) !== 'new' || compareVersions(file.version, highest) <= 0),
  )
  if (!lost) return undefined
  const reason = lost.irreversible ?? `there is no ${lost.name.replace(/\.sql$/, '.down.sql')} beside it`
  return `roll back to version ${target}: ${lost.name} cannot be undone: ${reason}`
}

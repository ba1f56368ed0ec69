import { escapeIdentifier, escapeLiteral } from 'pg'
import { freshPostgres, freshSuffix } from '../../test/support/stack.ts'
import { describeContract, type Subject } from '../contract.ts'
import { postgres } from './engine.ts'
import type { PgResource } from './model.ts'
import { type Lab, labOn } from './testing/damages.ts'
import { databaseWish, make, OPTIONS, type Wish } from './testing/lab.ts'
import { sharedDamages } from './testing/shared-damages.ts'
import { hostileKey, SHARED_FILES, subjectOf, tenantSubject } from './testing/subjects.ts'

const id = escapeIdentifier

describeContract('Postgres with tenants', async () => {
  const admin = await freshPostgres()
  const lab = labOn(admin)
  const session = postgres.connect(admin, OPTIONS)
  await make(session, databaseWish('Row', { files: SHARED_FILES, extensions: ['pg_trgm', 'uuid-ossp'] }))
  await session.close()
  return {
    engine: postgres,
    connect: async (fencing) => postgres.connect(admin, { ...OPTIONS, ...fencing }),
    subjects: [
      async () => tenantSubject(lab, 'Schema', { namespace: 'lab', name: `acme-${freshSuffix()}` }),
      async () => tenantSubject(lab, 'Schema', hostileKey()),
      async () => tenantSubject(lab, 'Row', hostileKey()),
      async () => tenantSubject(lab, 'Database', hostileKey()),
    ],
    close: async () => undefined,
  }
})

describeContract('Postgres with a Database of shared tables', async () => {
  const admin = await freshPostgres()
  const lab = labOn(admin)
  let previous: Wish | undefined
  /** A shard's database has one Database: each subject takes the place of the one before. */
  const subject = async (): Promise<Subject<PgResource>> => {
    if (previous) await clear(lab, previous)
    const wish = databaseWish('Row', { files: SHARED_FILES, extensions: ['pg_trgm'], name: `row-${freshSuffix()}` })
    previous = wish
    return subjectOf(wish, `Database ${wish.name}`, {
      damages: sharedDamages(lab, wish.name),
      lookalike: async () => {
        await lab.hand(`CREATE SCHEMA ${id(wish.name)}`, `CREATE ROLE ${id(`${wish.name}_ro`)}`)
        return async () => undefined
      },
      data: {
        write: async () => {
          await lab.hand(`INSERT INTO ${id(wish.name)}.countries VALUES ('de')`)
        },
        isThere: async () => (await lab.hand(`SELECT FROM ${id(wish.name)}.countries`)).length === 1,
      },
      isGone: async () => {
        const rows = await lab.hand(`SELECT FROM pg_roles WHERE starts_with(rolname, ${escapeLiteral(wish.name)})
          UNION ALL SELECT FROM pg_namespace WHERE nspname IN ('tenantry', ${escapeLiteral(wish.name)})`)
        return rows.length === 0
      },
    })
  }
  return {
    engine: postgres,
    connect: async (fencing) => postgres.connect(admin, { ...OPTIONS, ...fencing }),
    subjects: [subject],
    close: async () => undefined,
  }
})

async function clear({ admin, hand }: Lab, wish: Wish): Promise<void> {
  const session = postgres.connect(admin, OPTIONS)
  await make(session, wish, [])
  await session.close()
  await hand('DROP SCHEMA IF EXISTS tenantry CASCADE')
}

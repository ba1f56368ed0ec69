import { escapeIdentifier, escapeLiteral } from 'pg'
import { freshPostgres, freshSuffix } from '../../test/support/stack.ts'
import { type Damage, describeContract } from '../contract.ts'
import type { Connection } from '../model.ts'
import { postgres } from './engine.ts'
import { labOn } from './testing/damages.ts'
import { byHand, databaseWish, make, OPTIONS } from './testing/lab.ts'
import { hostileKey, SHARED_FILES, tenantSubject } from './testing/subjects.ts'

const id = escapeIdentifier

/** Damage that only a superuser can do, and that only one can repair. */
const NEEDS_SUPERUSER = [
  'superuser given',
  'bypassrls given',
  'membership given',
  'schema given away',
  'table given away',
  'database given away',
]

/** Stored verifiers are for superusers to read. */
const UNSEEN = ['password changed']

const isRepairable = ({ name }: Damage): boolean => ![...NEEDS_SUPERUSER, ...UNSEEN].includes(name)

/** As a managed service hands it out: makes roles and databases, owns its database, and is no superuser. */
async function plainAdmin(): Promise<{ admin: Connection; superuser: Connection }> {
  const superuser = await freshPostgres()
  const username = `admin_${freshSuffix()}`
  await byHand(
    superuser,
    `CREATE ROLE ${id(username)} LOGIN CREATEROLE CREATEDB PASSWORD ${escapeLiteral(username)}`,
    `ALTER DATABASE ${id(superuser.database ?? '')} OWNER TO ${id(username)}`,
  )
  return { admin: { ...superuser, username, password: username }, superuser }
}

describeContract('Postgres under an administrator who is no superuser', async () => {
  const { admin, superuser } = await plainAdmin()
  const lab = labOn(admin, superuser)
  const session = postgres.connect(admin, OPTIONS)
  await make(session, databaseWish('Row', { files: SHARED_FILES, extensions: ['pg_trgm', 'uuid-ossp'] }))
  await session.close()
  return {
    engine: postgres,
    connect: async (fencing) => postgres.connect(admin, { ...OPTIONS, ...fencing }),
    subjects: [
      async () => tenantSubject(lab, 'Schema', hostileKey(), isRepairable),
      async () => tenantSubject(lab, 'Row', hostileKey(), isRepairable),
      async () => tenantSubject(lab, 'Database', hostileKey(), isRepairable),
    ],
    close: async () => undefined,
  }
})

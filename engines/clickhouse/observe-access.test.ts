import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Session } from 'chdb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Link } from './client.ts'
import { observeAccess } from './observe-access.ts'
import { loginName, roleName, WRITES } from './resources.ts'
import type { FoundAccess } from './snapshot.ts'

// The embedded engine stores no users, but it reads them from a file: so its own system tables, in the shape of the
// real server's, can be read with something in them.
const base = 't_acme_00000000'
const role = roleName(base)
const reader = loginName(base, 'ReadOnly')
const USERS = `<clickhouse>
  <profiles><default/><${base}>
    <max_memory_usage>1000</max_memory_usage><max_execution_time>30</max_execution_time>
    <constraints><max_memory_usage><const/></max_memory_usage><max_execution_time><const/></max_execution_time></constraints>
  </${base}></profiles>
  <quotas><default/><${base}><keyed/>
    <interval><duration>3600</duration><queries>50</queries></interval>
  </${base}></quotas>
  <users>
    <default><password/><networks><ip>::/0</ip></networks><access_management>1</access_management></default>
    <${base}><password>x</password><networks><ip>::/0</ip></networks><profile>${base}</profile><quota>${base}</quota>
      <grants><query>GRANT ${WRITES.join(', ')} ON ${base}.*</query><query>GRANT ${role}</query></grants></${base}>
    <${reader}><password>x</password><networks></networks><grants><query>GRANT SELECT ON d_olap.events</query></grants>
      <databases><d_olap><events><filter>tenant_id = 'it\\'s'</filter></events></d_olap></databases></${reader}>
  </users>
  <roles><${role}><grants><query>GRANT SELECT, dictGet ON ${base}.*</query>
    <query>GRANT SELECT(a) ON x.y WITH GRANT OPTION</query></grants></${role}></roles>
</clickhouse>`

const dir = mkdtempSync(join(tmpdir(), 'tenantry-users-'))
let session: Session
let link: Link

beforeAll(() => {
  const users = join(dir, 'users.xml')
  writeFileSync(users, USERS)
  writeFileSync(
    join(dir, 'config.xml'),
    `<clickhouse><user_directories><users_xml><path>${users}</path></users_xml></user_directories></clickhouse>`,
  )
  session = new Session(join(dir, 'data'), { connectionArgs: [`--config-file=${join(dir, 'config.xml')}`] })
  link = {
    rows: async <T>(sql: string, { params = {} }: { params?: Readonly<Record<string, unknown>> }) =>
      (await session.queryBindAsync(sql, params, { format: 'JSON' })).json<{ data: readonly T[] }>().data,
    run: async (sql) => void (await session.queryAsync(sql)),
    close: async () => session.close(),
  }
})

afterAll(() => {
  session?.close()
  rmSync(dir, { recursive: true, force: true })
})

async function found(scope: 'all' | string[]): Promise<FoundAccess> {
  const params = scope === 'all' ? ({ all: 1, names: [] } as const) : ({ all: 0, names: scope } as const)
  return observeAccess(link, params, AbortSignal.timeout(60_000))
}

test.each([['all' as const], [[base]]])(
  'reads users, roles, grants, policies, quotas and settings in scope %s',
  async (scope) => {
    const access = await found(scope)
    expect(access.users.get(base)).toEqual({
      name: base,
      hosts: 'any',
      allRolesDefault: true,
      settings: [`profile ${base}`],
    })
    expect(access.users.get(reader)?.hosts).toBe('none')
    expect(access.roles.has(role)).toBe(true)
    expect(
      access.grantsTo
        .get(base)
        ?.map((g) => g.access)
        .toSorted(),
    ).toEqual(WRITES.toSorted())
    expect(access.grantsTo.get(base)?.every((g) => g.database === base && g.table === undefined && !g.irregular)).toBe(
      true,
    )
    expect(
      access.grantsTo
        .get(role)
        ?.map((g) => [g.access, g.database, g.table, g.irregular])
        .toSorted(),
    ).toEqual([
      ['SELECT', base, undefined, false],
      ['SELECT', 'x', 'y', true],
      ['dictGet', base, undefined, false],
    ])
    expect(access.grantsOn.get(base)?.length).toBe(WRITES.length + 2)
    expect(access.rolesOf.get(base)).toEqual([{ grantee: base, granteeIsRole: false, role }])
    expect(access.membersOf.get(role)).toEqual(access.rolesOf.get(base))
    expect(access.profiles.get(base)).toEqual({
      name: base,
      settings: ['max_execution_time=30 CONST', 'max_memory_usage=1000 CONST'],
      to: [],
    })
    expect(access.quotas.get(base)).toEqual({
      name: base,
      keys: ['client_key', 'user_name'],
      limits: ['3600: queries=50'],
      to: [base],
    })
    const policies = [...access.policies.values()].flat().filter((p) => p.to.includes(reader))
    expect(policies).toEqual([
      {
        ...{ name: reader, database: 'd_olap', table: 'events', filter: "tenant_id = 'it\\'s'" },
        ...{ restrictive: false, everybody: false, to: [reader] },
      },
    ])
  },
)

test('reads nothing of others in a scope', async () => {
  const access = await found(['t_other_00000000'])
  expect([access.users.size, access.roles.size, access.profiles.size, access.quotas.size]).toEqual([0, 0, 0, 0])
  expect([access.grantsTo.size, access.rolesOf.size]).toEqual([0, 0])
})

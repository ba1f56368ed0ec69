import { type Damage, describeContract } from '../contract.ts'
import { clickhouse } from './engine.ts'
import { identifier } from './quote.ts'
import { OPTIONS, onRealServer, type Raw, rawClient, serverUnderTest } from './testing/server.ts'
import { databaseSubject, rowsSubject, sharedSubject } from './testing/subjects.ts'

const where = onRealServer ? 'the server of CLICKHOUSE_URL, with users' : 'the embedded server, which keeps no users'

describeContract(`ClickHouse on ${where}`, async () => {
  const connection = serverUnderTest()
  const raw = rawClient(connection)
  return {
    engine: clickhouse,
    connect: async (fencing) => clickhouse.connect(connection, { ...OPTIONS, ...fencing }),
    subjects: [
      sharedSubject(raw),
      rowsSubject(raw, (name, shared) =>
        onRealServer ? [...accessDamages(raw, name), ...policyDamages(raw, name, shared)] : [],
      ),
      databaseSubject(raw, (name) => (onRealServer ? accessDamages(raw, name) : [])),
    ],
    close: () => raw.close(),
  }
})

function accessDamages(raw: Raw, name: string): Damage[] {
  const [user, reader, role] = [name, `${name}_ro`, `${name}_role`].map(identifier)
  const damages: Readonly<Record<string, string>> = {
    'the login is dropped': `DROP USER ${user}`,
    'the reader is dropped': `DROP USER ${reader}`,
    'the role is dropped': `DROP ROLE ${role}`,
    'the role is revoked': `REVOKE ${role} FROM ${user}`,
    'a right is granted': `GRANT SELECT ON tenantry.* TO ${user}`,
    'a right is granted to the role': `GRANT INSERT ON default.* TO ${role}`,
    'the login is locked out': `ALTER USER ${user} HOST NONE`,
    'the reader may write': `ALTER USER ${reader} SETTINGS NONE`,
    'the quota is dropped': `DROP QUOTA ${user}`,
    'the quota is raised': `ALTER QUOTA ${user} FOR INTERVAL 1 hour MAX queries = 1000000`,
    'the limits are dropped': `DROP SETTINGS PROFILE ${user}`,
    'the limits are raised': `ALTER SETTINGS PROFILE ${user} SETTINGS max_memory_usage = 0`,
  }
  return Object.entries(damages).map(([title, sql]) => ({ name: title, inflict: () => raw.run(sql) }))
}

function policyDamages(raw: Raw, name: string, shared: string): Damage[] {
  const on = `${identifier(name)} ON ${identifier(shared)}.events`
  const role = identifier(`${name}_role`)
  const damages: Readonly<Record<string, string>> = {
    'the row policy is dropped': `DROP ROW POLICY ${on}`,
    'the row policy shows everything': `ALTER ROW POLICY ${on} USING 1`,
    'the table is revoked': `REVOKE SELECT ON ${identifier(shared)}.events FROM ${role}`,
  }
  return Object.entries(damages).map(([title, sql]) => ({ name: title, inflict: () => raw.run(sql) }))
}

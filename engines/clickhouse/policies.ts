import { identifier, literal, qualified } from './quote.ts'

/** Shows nothing to anybody, so that a user without a policy of its own sees no row of a shared table. */
export const GUARD_POLICY = 'tenantry_guard'
/** Permissive policies are ORed: this one opens the guard for the administrative user. */
export const ADMIN_POLICY = 'tenantry_admin'

/** As the server prints it back in system.row_policies. */
export function expectedFilter(tenantId: string): string {
  return `tenant_id = ${literal(tenantId)}`
}

export function tenantPolicy(
  name: string,
  table: { shared: string; name: string },
  tenantId: string,
  role: string,
): string {
  const on = qualified(table.shared, table.name)
  const using = expectedFilter(tenantId)
  return `CREATE ROW POLICY OR REPLACE ${identifier(name)} ON ${on} USING ${using} AS PERMISSIVE TO ${identifier(role)}`
}

/** First the way in for the administrator, then the closed door. */
export function guardPolicies(shared: string, table: string, admin: string): readonly string[] {
  const on = qualified(shared, table)
  return [
    `CREATE ROW POLICY OR REPLACE ${ADMIN_POLICY} ON ${on} USING 1 AS PERMISSIVE TO ${identifier(admin)}`,
    `CREATE ROW POLICY OR REPLACE ${GUARD_POLICY} ON ${on} USING 0 AS PERMISSIVE TO ALL`,
  ]
}

export function dropPolicy(name: string, database: string, table: string): string {
  return `DROP ROW POLICY IF EXISTS ${identifier(name)} ON ${qualified(database, table)}`
}

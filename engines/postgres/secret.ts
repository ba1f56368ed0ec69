import type { Address, Connection } from '../model.ts'

const SSL_MODES = { off: 'disable', verify: 'verify-full', insecure: 'require' } as const

/** The tenant's Secret in Service Binding shape; every part of `uri` is percent-encoded. */
export function secretData(
  connection: Connection,
  address: Address,
  { login, password }: { login: string; password: string },
): Readonly<Record<string, string>> {
  const { host, port, tls, ca } = connection
  const database = address.database ?? connection.database ?? 'postgres'
  const authority = `${encodeURIComponent(login)}:${encodeURIComponent(password)}@${hostPart(host)}:${port}`
  return {
    type: 'postgresql',
    provider: 'tenantry',
    host,
    port: String(port),
    username: login,
    password,
    database,
    sslmode: SSL_MODES[tls],
    uri: `postgresql://${authority}/${encodeURIComponent(database)}?sslmode=${SSL_MODES[tls]}`,
    ...(address.schema !== undefined && { schema: address.schema }),
    ...(ca !== undefined && { 'ca.crt': ca }),
  }
}

function hostPart(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

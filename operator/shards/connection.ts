import { AppError } from '@tenantry/crds/errors.ts'
import type { Connection, EngineName } from '@tenantry/engines/model.ts'

const DEFAULT_PORT: Record<EngineName, number> = { PostgreSQL: 5432, Redis: 6379, ClickHouse: 8123 }

/** Schemes accepted in the `uri` key; `s` forms mean TLS with verification. */
const SCHEMES: Record<EngineName, Readonly<Record<string, Connection['tls']>>> = {
  PostgreSQL: { 'postgres:': 'off', 'postgresql:': 'off' },
  Redis: { 'redis:': 'off', 'rediss:': 'verify' },
  ClickHouse: { 'http:': 'off', 'https:': 'verify', 'clickhouse:': 'off' },
}

const TLS_BY_SSLMODE: Readonly<Record<string, Connection['tls']>> = {
  disable: 'off',
  allow: 'off',
  prefer: 'off',
  require: 'insecure',
  'verify-ca': 'verify',
  'verify-full': 'verify',
}

/**
 * Reads a shard's connection Secret: keys `host`, `port`, `username` (or `user`), `password`, `database` (or `dbname`),
 * `sslmode`, `ca.crt`; or one `uri` with the same in it. Single keys win over the URI. `data` is base64 as in the API.
 * Errors name the Secret and the key, never a value.
 */
export function parseConnection(
  engine: EngineName,
  secret: string,
  data: Readonly<Record<string, string>>,
): Connection {
  const keys = readKeys(data)
  const uri = parseUri(engine, secret, keys.uri)
  const host = keys.host ?? uri.host
  if (!host) throw invalid(secret, 'has neither host nor uri', 'add the key "host" or "uri"')
  const { username = uri.username, password = uri.password, database = uri.database, ca } = keys
  return {
    host,
    port: parsePort(secret, keys.port) ?? uri.port ?? DEFAULT_PORT[engine],
    tls: parseSslMode(secret, keys.sslmode ?? uri.sslmode) ?? uri.tls ?? 'off',
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    ...(ca !== undefined && { ca }),
  }
}

/** The keys we know under one name each; CloudNativePG and others call two of them differently. */
function readKeys(data: Readonly<Record<string, string>>) {
  const text = (...names: readonly string[]): string | undefined => {
    const name = names.find((candidate) => data[candidate] !== undefined)
    return (
      Buffer.from(data[name ?? ''] ?? '', 'base64')
        .toString('utf8')
        .trim() || undefined
    )
  }
  return {
    uri: text('uri'),
    host: text('host'),
    port: text('port'),
    username: text('username', 'user'),
    password: text('password'),
    database: text('database', 'dbname'),
    sslmode: text('sslmode'),
    ca: text('ca.crt'),
  }
}

type UriParts = Partial<Pick<Connection, 'host' | 'port' | 'username' | 'password' | 'database' | 'tls'>> & {
  sslmode?: string
}

function parseUri(engine: EngineName, secret: string, uri: string | undefined): UriParts {
  if (uri === undefined) return {}
  if (!URL.canParse(uri)) throw invalid(secret, 'has a malformed uri', 'use scheme://user:password@host:port/database')
  const url = new URL(uri)
  const tls = SCHEMES[engine][url.protocol]
  if (tls === undefined) {
    const wanted = Object.keys(SCHEMES[engine]).join(', ')
    throw new AppError(
      'WrongEngine',
      `${secret} has a ${url.protocol} uri but the Database is ${engine}: use ${wanted}`,
    )
  }
  const sslmode = url.searchParams.get('sslmode')
  return {
    tls,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port && { port: Number(url.port) }),
    ...(url.username && { username: decode(secret, url.username) }),
    ...(url.password && { password: decode(secret, url.password) }),
    ...(url.pathname.length > 1 && { database: decode(secret, url.pathname.slice(1)) }),
    ...(sslmode !== null && { sslmode }),
  }
}

function decode(secret: string, part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw invalid(secret, 'has a uri with broken percent-encoding', 'encode user and password as in a URL')
  }
}

function parsePort(secret: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65536) return port
  throw invalid(secret, 'has a malformed port', 'use a number from 1 to 65535')
}

function parseSslMode(secret: string, text: string | undefined): Connection['tls'] | undefined {
  if (text === undefined) return undefined
  const tls = TLS_BY_SSLMODE[text]
  if (tls !== undefined) return tls
  throw invalid(secret, 'has an unknown sslmode', `use one of ${Object.keys(TLS_BY_SSLMODE).join(', ')}`)
}

function invalid(secret: string, what: string, todo: string): AppError {
  return new AppError('SecretInvalid', `Secret ${secret} ${what}: ${todo}`)
}

/** Subjects of the engine contract. Imported by tests only. */
import { escapeIdentifier, escapeLiteral } from 'pg'
import { freshSuffix } from '../../../test/support/stack.ts'
import type { Damage, Subject } from '../../contract.ts'
import type { Isolation } from '../../model.ts'
import type { PgResource } from '../model.ts'
import { databaseDamages, HOSTILE_TABLES, type Lab, rowDamages, schemaDamages } from './damages.ts'
import { byHand, sqlFile, type TenantWish, tenantWish, type Wish } from './lab.ts'

const id = escapeIdentifier

/** The longest name that Kubernetes allows, and a namespace that it does not. */
export const hostileKey = (): { namespace: string; name: string } => {
  const suffix = freshSuffix()
  return { namespace: `n"s';--${suffix}`, name: `${'long-name.'.repeat(25).slice(0, 242)}-${suffix}` }
}

const TENANT_FILES = [
  sqlFile(
    '1',
    HOSTILE_TABLES.map(
      (table) => `CREATE TABLE ${id(table)} (id bigint GENERATED ALWAYS AS IDENTITY, note text);`,
    ).join('\n'),
  ),
  sqlFile('2', 'CREATE SEQUENCE "order"; CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 2 $$;'),
]

export const SHARED_FILES = [
  sqlFile(
    '1',
    `CREATE TABLE orders (tenant_id text NOT NULL DEFAULT tenantry.tenant_id(), id bigint GENERATED ALWAYS AS IDENTITY, note text,
       PRIMARY KEY (tenant_id, id));
     CREATE TABLE "select" (tenant_id varchar(80) NOT NULL, note text);
     CREATE TABLE items (tenant_id text NOT NULL, order_id bigint NOT NULL,
       FOREIGN KEY (tenant_id, order_id) REFERENCES orders (tenant_id, id));`,
  ),
  sqlFile(
    '2',
    `CREATE TABLE countries (code text PRIMARY KEY); COMMENT ON TABLE countries IS 'all countries; tenantry:reference';`,
  ),
]

export function subjectOf(
  wish: Wish,
  title: string,
  rest: Omit<Subject<PgResource>, 'title' | 'owner' | 'scope' | 'wanted' | 'secrets'>,
): Subject<PgResource> {
  const { owner, scope, wanted, secrets } = wish
  return { title, owner, scope, wanted, secrets, ...rest }
}

async function noneLike(lab: Lab, name: string): Promise<boolean> {
  const like = escapeLiteral(name)
  const rows = await byHand(
    lab.superuser,
    `SELECT rolname FROM pg_roles WHERE starts_with(rolname, ${like})
    UNION ALL SELECT nspname FROM pg_namespace WHERE starts_with(nspname, ${like})
    UNION ALL SELECT datname FROM pg_database WHERE starts_with(datname, ${like})
    UNION ALL SELECT login FROM tenantry.binding WHERE starts_with(login, ${like})
    UNION ALL SELECT name::name FROM tenantry.tenant WHERE starts_with(name, ${like})`,
  )
  return rows.length === 0
}

/** `repairable` leaves out damage that the lab's administrator may not repair. */
export function tenantSubject(
  lab: Lab,
  isolation: Isolation,
  key: { namespace: string; name: string },
  repairable: (damage: Damage) => boolean = () => true,
): Subject<PgResource> {
  const wish = tenantWish(isolation, key, { change: isolation === 'Row' ? {} : { files: TENANT_FILES } })
  const { name } = wish
  return subjectOf(wish, `${isolation} tenant ${name}`, {
    damages: damagesOf(lab, wish).filter(repairable),
    lookalike: () => lookalikeOf(lab, wish),
    data: dataOf(lab, wish),
    isGone: () => noneLike(lab, name),
  })
}

function damagesOf(lab: Lab, wish: TenantWish): readonly Damage[] {
  if (wish.input.isolation === 'Row') return rowDamages(lab, wish)
  if (wish.input.isolation === 'Database') return databaseDamages(lab, wish)
  return schemaDamages(lab, wish)
}

function dataOf(lab: Lab, wish: TenantWish): NonNullable<Subject<PgResource>['data']> {
  const { isolation, name, tenantId, shared } = wish.input
  const target = isolation === 'Database' ? { ...lab.superuser, database: name } : lab.superuser
  const table = isolation === 'Row' ? `${id(shared)}.orders` : `${id(name)}."select"`
  const [columns, values, where] =
    isolation === 'Row'
      ? ['tenant_id, note', `${escapeLiteral(tenantId)}, 'paid'`, `tenant_id = ${escapeLiteral(tenantId)}`]
      : ['note', `'paid'`, 'true']
  return {
    write: async () => {
      await byHand(target, `INSERT INTO ${table} (${columns}) VALUES (${values})`)
    },
    isThere: async () => (await byHand(target, `SELECT FROM ${table} WHERE ${where} AND note = 'paid'`)).length > 0,
  }
}

async function lookalikeOf(lab: Lab, { input, name }: TenantWish): Promise<() => Promise<void>> {
  if (input.isolation === 'Row') {
    await lab.hand(`CREATE ROLE ${id(`${name}_app_a`)} LOGIN PASSWORD 'theirs'`)
  } else if (input.isolation === 'Schema') {
    await lab.hand(
      `CREATE SCHEMA ${id(name)}`,
      `CREATE TABLE ${id(name)}.theirs (a int)`,
      `CREATE ROLE ${id(`${name}_rw`)}`,
    )
  } else {
    await lab.hand(`CREATE DATABASE ${id(name)}`)
  }
  return async () => undefined
}

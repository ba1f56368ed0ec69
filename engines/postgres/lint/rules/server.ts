import { option } from '../bodies.ts'
import { type Hit, hit, rules } from '../rule.ts'
import { quoted } from '../shown.ts'
import { as, type Fields, names } from '../walk.ts'

/** Functions that read the server's files, reach other servers or sessions, or run a string as a query. */
const REACHING =
  /^(?:dblink.*|pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|lo_import|lo_export|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_advisory_unlock.*|(?:query|cursor|table|schema|database)_to_xml.*|ts_stat|pg_logical_.*|pg_create_.*|pg_drop_.*|pg_replication_.*)$/

const LANGUAGES = ['sql', 'plpgsql']
const MAKES = (what: string) => (): readonly Hit[] => [`${what} belongs to the whole database or server`]

/** What would reach the server itself, its files, or other servers. */
export const SERVER = rules('escape', 'error', {
  'copy-program': {
    title: 'COPY … PROGRAM',
    why: 'It runs a command of the operating system on the database server.',
    instead: 'INSERT; large data does not belong into a migration',
    bad: "COPY orders FROM PROGRAM 'curl http://example.com';",
    good: 'INSERT INTO orders (id) VALUES (1);',
    find: { CopyStmt: ({ is_program: program }) => hit(program === true, 'the database server runs a command') },
  },
  'copy-file': {
    title: 'COPY to or from a file of the server',
    why: 'It reads or writes files of the database server, which are not the tenant’s.',
    instead: 'INSERT; large data does not belong into a migration',
    bad: "COPY orders TO '/tmp/orders.csv';",
    good: 'INSERT INTO archive (id) SELECT id FROM orders;',
    find: {
      CopyStmt: ({ is_program: program, filename }) =>
        hit(program !== true && filename !== undefined, `the server's file ${quoted(filename)} is used`),
    },
  },
  'server-function': {
    title: 'A function that reaches beyond the database',
    why: 'It reads files of the server, reaches other sessions or servers, or runs a string as a query.',
    instead: 'leave it out; what it is needed for is done by an administrator',
    bad: "SELECT pg_read_file('postgresql.conf');",
    good: 'SELECT count(*) FROM orders;',
    find: {
      FuncCall: ({ funcname, location }) => {
        const name = names(funcname).at(-1) ?? ''
        return hit(REACHING.test(name), `${quoted(name)} is called`, location)
      },
    },
  },
  'server-object': {
    title: 'An object of the database or the server',
    why: 'Foreign servers, languages, publications, subscriptions, casts and the like are shared by all tenants.',
    instead: 'leave it to an administrator',
    bad: 'CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;',
    good: 'CREATE TABLE others (id bigint PRIMARY KEY);',
    find: {
      CreateForeignServerStmt: MAKES('a foreign server'),
      AlterForeignServerStmt: MAKES('a foreign server'),
      CreateFdwStmt: MAKES('a foreign data wrapper'),
      CreateUserMappingStmt: MAKES('a user mapping'),
      CreateForeignTableStmt: MAKES('the server of a foreign table'),
      ImportForeignSchemaStmt: MAKES('a foreign schema'),
      CreatePLangStmt: MAKES('a language'),
      CreatePublicationStmt: MAKES('a publication'),
      AlterPublicationStmt: MAKES('a publication'),
      CreateSubscriptionStmt: MAKES('a subscription'),
      AlterSubscriptionStmt: MAKES('a subscription'),
      DropSubscriptionStmt: MAKES('a subscription'),
      CreateTableSpaceStmt: MAKES('a tablespace'),
      DropTableSpaceStmt: MAKES('a tablespace'),
      CreateCastStmt: MAKES('a cast'),
      AlterTableMoveAllStmt: MAKES('a tablespace'),
      LoadStmt: MAKES('a library'),
      CheckPointStmt: MAKES('a checkpoint'),
    },
  },
  'alter-system': {
    title: 'ALTER SYSTEM',
    why: 'It changes a setting of the whole server.',
    instead: 'leave it to an administrator',
    bad: "ALTER SYSTEM SET work_mem = '1GB';",
    good: "SET LOCAL work_mem = '64MB';",
    find: { AlterSystemStmt: () => ['the whole server is set otherwise'] },
  },
  'database-statement': {
    title: 'CREATE, ALTER or DROP DATABASE',
    why: 'A database is shared by all tenants of a shard.',
    instead: 'leave it to the operator',
    bad: 'DROP DATABASE shop;',
    good: 'CREATE TABLE shops (id bigint PRIMARY KEY);',
    find: {
      CreatedbStmt: () => ['a database is made'],
      DropdbStmt: ({ dbname }) => [`database ${quoted(dbname)} is dropped with all its tenants`],
      AlterDatabaseStmt: () => ['a database is changed'],
      AlterDatabaseSetStmt: () => ['settings of a database are changed'],
    },
  },
  extension: {
    title: 'CREATE, ALTER or DROP EXTENSION',
    why: 'An extension is there for all tenants of a database, and some read files or reach other servers.',
    instead: 'list it in spec.extensions of the Database',
    bad: 'CREATE EXTENSION pg_trgm;',
    good: 'CREATE TABLE orders (id bigint PRIMARY KEY);\nCREATE INDEX orders_id ON orders USING brin (id);',
    find: {
      CreateExtensionStmt: ({ extname }) => [`extension ${quoted(extname)} would be there for all tenants`],
      AlterExtensionStmt: ({ extname }) => [`extension ${quoted(extname)} is there for all tenants`],
      AlterExtensionContentsStmt: ({ extname }) => [`extension ${quoted(extname)} is there for all tenants`],
      DropStmt: ({ removeType }) => hit(removeType === 'OBJECT_EXTENSION', 'an extension is there for all tenants'),
    },
  },
  'event-trigger': {
    title: 'An event trigger',
    why: 'It runs for statements of all tenants, with their rights.',
    instead: 'a trigger on the table',
    bad: 'CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION note();',
    good: 'CREATE TRIGGER watch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();',
    find: {
      CreateEventTrigStmt: () => ['it runs for all tenants'],
      AlterEventTrigStmt: () => ['it runs for all tenants'],
      DropStmt: ({ removeType }) => hit(removeType === 'OBJECT_EVENT_TRIGGER', 'it runs for all tenants'),
    },
  },
  'function-language': {
    title: 'A function or DO block in another language than SQL or PL/pgSQL',
    why: 'Its body cannot be read by these rules, and most other languages reach the server itself.',
    instead: 'LANGUAGE sql or plpgsql',
    bad: "CREATE FUNCTION now_there() RETURNS bigint LANGUAGE c AS 'library';",
    good: 'CREATE FUNCTION one() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$;',
    find: {
      CreateFunctionStmt: (_, { body }) => language(body?.language),
      DoStmt: (_, { body }) => language(body?.language),
    },
  },
  'unreadable-body': {
    title: 'The body of a function or DO block cannot be read',
    why: 'What these rules cannot read they cannot allow. The server would most likely refuse it as well.',
    instead: 'correct it as the message says',
    bad: 'CREATE FUNCTION one() RETURNS bigint LANGUAGE sql AS $$ SELEC 1 $$;',
    good: 'CREATE FUNCTION one() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$;',
    find: {
      CreateFunctionStmt: (_, { body }) => unreadable(body?.unreadable),
      DoStmt: (_, { body }) => unreadable(body?.unreadable),
    },
  },
  'dynamic-sql-in-do': {
    title: 'A DO block that makes statements out of strings',
    why: 'It could do all that the other rules refuse, and nobody can tell before it runs.',
    instead: 'plain statements',
    bad: '-- lint:ignore do-block made by a tool\nDO $$\nBEGIN\n  EXECUTE format($q$SELECT %L$q$, 1);\nEND $$;',
    good: 'SELECT 1;',
    find: { DoStmt: (_, { body }) => hit(body?.dynamic === true, 'EXECUTE runs what is not in the file') },
  },
  'security-definer-without-search-path': {
    title: 'SECURITY DEFINER without a search_path of its own',
    why: 'Whoever calls it decides what its names mean, and has it act on tables of their choice with the owner’s rights.',
    instead: 'SET search_path = pg_catalog, pg_temp, or SECURITY INVOKER',
    bad: 'CREATE FUNCTION one() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$;',
    good: 'CREATE FUNCTION one() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT 1 $$;',
    find: {
      CreateFunctionStmt: ({ options = [] }) =>
        hit(definer(options) && !ownPath(options), 'its search_path is the caller’s'),
      AlterFunctionStmt: ({ actions = [] }) =>
        hit(definer(actions) && !ownPath(actions), 'its search_path is the caller’s'),
    },
  },
})

function language(name: string | undefined): readonly Hit[] {
  return hit(name !== undefined && !LANGUAGES.includes(name), `it is written in ${quoted(name)}`)
}

function unreadable(reason: string | undefined): readonly Hit[] {
  return reason === undefined ? [] : [reason]
}

type Options = NonNullable<Fields<'CreateFunctionStmt'>['options']>

function definer(options: Options): boolean {
  return as('Boolean', option(options, 'security'))?.boolval === true
}

function ownPath(options: Options): boolean {
  return options
    .map((node) => as('VariableSetStmt', as('DefElem', node)?.arg))
    .some((set) => set?.name === 'search_path' && set.kind === 'VAR_SET_VALUE')
}

import { describe, expect, test } from 'vitest'
import { type Entry, pictureOf } from './picture.ts'
import { repairsOf } from './repair.ts'

const SUBJECT = { schema: 't_acme_1f2e3d4c', tenant: "shop/o'neill" }
const TABLE: Entry = ['table', 'orders', { kind: 'table' }]
const ID: Entry = ['column', 'orders.id', { type: 'bigint', 'not null': 'yes' }]

const repaired = (want: readonly Entry[], found: readonly Entry[]) =>
  repairsOf(SUBJECT, pictureOf(want), pictureOf(found)).flatMap(({ spec }) => spec.statements)

describe('what is missing is made anew', () => {
  test.each<[string, Entry, string]>([
    [
      'a column that may be empty',
      ['column', 'orders.note', { type: 'text', collation: '"C"' }],
      'ALTER TABLE t_acme_1f2e3d4c.orders ADD COLUMN note text COLLATE "C"',
    ],
    [
      'a column with a default',
      ['column', 'orders.n', { type: 'text', 'not null': 'yes', default: ":'tenant'::text" }],
      "ALTER TABLE t_acme_1f2e3d4c.orders ADD COLUMN n text DEFAULT 'shop/o''neill'::text NOT NULL",
    ],
    [
      'a generated column',
      ['column', 'orders.g', { type: 'int', generated: '(id * 2) stored' }],
      'ALTER TABLE t_acme_1f2e3d4c.orders ADD COLUMN g int GENERATED ALWAYS AS ((id * 2)) STORED',
    ],
    [
      'an index',
      ['index', 'orders_id', { table: 'orders', definition: 'CREATE INDEX orders_id ON :schema.orders (id)' }],
      'CREATE INDEX orders_id ON t_acme_1f2e3d4c.orders (id)',
    ],
    [
      'a view',
      ['view', 'all_orders', { definition: ' SELECT id FROM :schema.orders;', options: 'security_invoker=true' }],
      'CREATE VIEW t_acme_1f2e3d4c.all_orders WITH (security_invoker=true) AS  SELECT id FROM :schema.orders;'.replace(
        ':schema',
        SUBJECT.schema,
      ),
    ],
    [
      'an enum',
      ['enum', 'state', { labels: "'open', 'paid'" }],
      "CREATE TYPE t_acme_1f2e3d4c.state AS ENUM ('open', 'paid')",
    ],
    [
      'a domain',
      ['domain', 'cents', { base: 'bigint', 'not null': 'yes', constraints: 'CONSTRAINT p CHECK ((VALUE > 0))' }],
      'CREATE DOMAIN t_acme_1f2e3d4c.cents AS bigint NOT NULL CONSTRAINT p CHECK ((VALUE > 0))',
    ],
    [
      'a function',
      ['function', 'f()', { definition: 'CREATE OR REPLACE FUNCTION :schema.f() …' }],
      'CREATE OR REPLACE FUNCTION t_acme_1f2e3d4c.f() …',
    ],
  ])('%s', (_, entry, statement) => {
    expect(repaired([TABLE, ID, entry], [TABLE, ID])).toEqual([statement])
  })

  test('a table with its sequence, keys and indexes, in an order that works', () => {
    const want: readonly Entry[] = [
      [
        'index',
        'lines_n',
        { table: 'lines', unique: 'yes', definition: 'CREATE UNIQUE INDEX lines_n ON :schema.lines (n)' },
      ],
      ['constraint', 'lines.fk', { definition: 'FOREIGN KEY (n) REFERENCES :schema.orders(id)' }],
      ['constraint', 'lines.pk', { definition: 'PRIMARY KEY (n)' }],
      ['column', 'lines.n', { type: 'bigint', 'not null': 'yes', default: "nextval(':schema.lines_n_seq'::regclass)" }],
      ['table', 'lines', { kind: 'table' }],
      [
        'sequence',
        'lines_n_seq',
        { type: 'bigint', start: '1', increment: '1', minimum: '1', maximum: '9', cache: '1', 'owned by': 'lines.n' },
      ],
      TABLE,
      ID,
    ]
    expect(repaired(want, [TABLE, ID])).toEqual([
      'CREATE SEQUENCE t_acme_1f2e3d4c.lines_n_seq AS bigint START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 9 CACHE 1',
      "CREATE TABLE t_acme_1f2e3d4c.lines (n bigint DEFAULT nextval('t_acme_1f2e3d4c.lines_n_seq'::regclass) NOT NULL, CONSTRAINT pk PRIMARY KEY (n))",
      'ALTER SEQUENCE t_acme_1f2e3d4c.lines_n_seq OWNED BY t_acme_1f2e3d4c.lines.n',
      'ALTER TABLE t_acme_1f2e3d4c.lines ADD CONSTRAINT fk FOREIGN KEY (n) REFERENCES t_acme_1f2e3d4c.orders(id)',
      'CREATE UNIQUE INDEX lines_n ON t_acme_1f2e3d4c.lines (n)',
    ])
  })

  test('a view after the one that it reads from', () => {
    const want: readonly Entry[] = [
      ['view', 'a', { definition: 'SELECT * FROM :schema.b' }],
      ['view', 'b', { definition: 'SELECT 1' }],
    ]
    expect(repaired(want, []).map((statement) => statement.slice(0, 30))).toEqual([
      'CREATE VIEW t_acme_1f2e3d4c.b ',
      'CREATE VIEW t_acme_1f2e3d4c.a ',
    ])
  })
})

describe('nothing is made that could refuse or change rows that there are', () => {
  test.each<[string, Entry]>([
    ['a column that must not be empty', ['column', 'orders.n', { type: 'text', 'not null': 'yes' }]],
    ['a constraint', ['constraint', 'orders.c', { definition: 'CHECK ((id > 0))' }]],
    ['a unique index', ['index', 'u', { table: 'orders', unique: 'yes', definition: 'CREATE UNIQUE INDEX …' }]],
    ['a trigger', ['trigger', 'orders.t', { definition: 'CREATE TRIGGER …' }]],
    ['a policy', ['policy', 'orders.p', { command: 'all' }]],
    ['a sequence', ['sequence', 's', { type: 'bigint', 'owned by': 'orders.id' }]],
    ['a sequence of no table', ['sequence', 's', { type: 'bigint' }]],
    ['a partition', ['table', 'p', { kind: 'table', inherits: ':schema.orders', bounds: 'DEFAULT' }]],
    ['a table under row security', ['table', 'p', { kind: 'table', 'row security': 'forced' }]],
  ])('%s', (_, entry) => {
    expect(repaired([TABLE, ID, entry], [TABLE, ID])).toEqual([])
  })

  test('and nothing that differs or is extra is touched', () => {
    const other: Entry = ['column', 'orders.id', { type: 'text' }]
    expect(repaired([TABLE, ID], [TABLE, other, ['table', 'mine', { kind: 'table' }]])).toEqual([])
  })

  test('nor anything in a schema whose name needs quotes', () => {
    expect(repairsOf({ schema: 'we"ird' }, pictureOf([TABLE]), pictureOf([]))).toEqual([])
  })
})

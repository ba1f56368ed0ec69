/** One file with an object of every kind, and what may be done to them by hand. Imported by tests only. */
import { sqlFile } from '../../testing/lab.ts'

export const EVERYTHING = sqlFile(
  '1',
  `CREATE TYPE state AS ENUM ('open', 'it''s paid');
CREATE TYPE amount AS (cents bigint, currency text);
CREATE DOMAIN positive AS bigint DEFAULT 1 NOT NULL CONSTRAINT above CHECK (VALUE > 0) CONSTRAINT below CHECK (VALUE < 1000000);
CREATE TYPE span AS RANGE (subtype = bigint);
CREATE FUNCTION vat(cents bigint, OUT gross bigint) LANGUAGE sql IMMUTABLE AS $$ SELECT cents * 119 / 100 $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$;
CREATE PROCEDURE clear() LANGUAGE sql AS $$ SELECT 1 $$;
CREATE AGGREGATE total(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0');
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "e Mail" text COLLATE "C" UNIQUE,
  state state DEFAULT 'open',
  worth amount,
  touched timestamptz
);
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
  cents positive,
  gross bigint GENERATED ALWAYS AS (id * 2) STORED,
  note varchar(20) DEFAULT 'none' CHECK (note <> 'it''s'),
  EXCLUDE USING btree (customer_id WITH =, note WITH =)
) WITH (fillfactor = 90);
CREATE INDEX orders_note ON orders (lower(note)) WHERE note IS NOT NULL;
CREATE UNLOGGED TABLE scratchpad (id int);
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX events_what ON events (what);
CREATE SEQUENCE invoice_numbers START 1000 INCREMENT 10 CYCLE;
CREATE VIEW open_orders WITH (security_invoker = true) AS SELECT o.id, c."e Mail", vat(o.cents) FROM orders o JOIN customers c ON c.id = o.customer_id;
CREATE MATERIALIZED VIEW totals AS SELECT customer_id, sum(cents) AS cents FROM orders GROUP BY 1;
CREATE UNIQUE INDEX totals_customer ON totals (customer_id);
CREATE RULE no_delete AS ON DELETE TO scratchpad DO INSTEAD NOTHING;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON customers FOR SELECT TO CURRENT_USER USING (state = 'open');
CREATE STATISTICS note_and_customer ON note, customer_id FROM orders;
COMMENT ON TABLE orders IS 'for people';`,
)

/** What somebody does by hand in the tenant's schema, and what is told of it. */
export const DAMAGES: readonly (readonly [sql: string, words: readonly string[]])[] = [
  [
    "ALTER TYPE state ADD VALUE 'late'",
    ["enum state differs: labels is 'open', 'it''s paid', 'late', not 'open', 'it''s paid'"],
  ],
  [
    'ALTER TYPE amount ADD ATTRIBUTE at date',
    [
      'composite type amount differs: attributes is cents bigint, currency text, at date, not cents bigint, currency text',
    ],
  ],
  [
    'ALTER DOMAIN positive DROP CONSTRAINT below',
    [
      'domain positive differs: constraints is CONSTRAINT above CHECK ((VALUE > 0)), not CONSTRAINT above CHECK ((VALUE > 0)) CONSTRAINT below CHECK ((VALUE < 1000000))',
    ],
  ],
  ['DROP TYPE span', ['range span is missing']],
  [
    "CREATE OR REPLACE FUNCTION vat(cents bigint, OUT gross bigint) LANGUAGE sql IMMUTABLE AS 'SELECT cents'",
    ['function vat(cents bigint, OUT gross bigint) differs: definition'],
  ],
  ['DROP PROCEDURE clear()', ['procedure clear() is missing']],
  ['DROP AGGREGATE total(bigint)', ['aggregate total(bigint) is missing']],
  [
    "ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'secret'",
    ["column orders.note differs: default has another literal in '…'::character varying"],
  ],
  [
    'ALTER TABLE orders ALTER COLUMN note TYPE text',
    [
      "column orders.note differs: default has another literal in '…'::character varying; type is text, not character varying(20)",
    ],
  ],
  [
    'ALTER TABLE orders ALTER customer_id DROP NOT NULL',
    ['column orders.customer_id differs: not null is none, not yes'],
  ],
  ['ALTER TABLE orders DROP CONSTRAINT orders_note_check', ['constraint orders.orders_note_check is missing']],
  ['ALTER TABLE orders ADD extra text', ['column orders.extra is made by no SQL file']],
  ['ALTER TABLE orders SET (fillfactor = 80)', ['table orders differs: options is fillfactor=80, not fillfactor=90']],
  ['ALTER TABLE customers FORCE ROW LEVEL SECURITY', ['table customers differs: row security is forced, not enabled']],
  ['ALTER TABLE scratchpad SET LOGGED', ['table scratchpad differs: unlogged is none, not yes']],
  ['DROP INDEX orders_note', ['index orders_note is missing']],
  ['DROP TABLE events_2026', ['table events_2026 is missing']],
  ['ALTER SEQUENCE invoice_numbers INCREMENT 1', ['sequence invoice_numbers differs: increment is 1, not 10']],
  ['DROP VIEW open_orders', ['view open_orders is missing']],
  ['DROP MATERIALIZED VIEW totals', ['index totals_customer is missing', 'materialized view totals is missing']],
  ['DROP RULE no_delete ON scratchpad', ['rule scratchpad.no_delete is missing']],
  ['ALTER TABLE customers DISABLE TRIGGER touch', ['trigger customers.touch differs: fires is never, not none']],
  ['DROP POLICY mine ON customers', ['policy customers.mine is missing']],
  ['DROP STATISTICS note_and_customer', ['statistics note_and_customer is missing']],
  ['CREATE TABLE mine (id int PRIMARY KEY)', ['table mine is made by no SQL file']],
]

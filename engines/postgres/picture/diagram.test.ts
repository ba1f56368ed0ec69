import { expect, test } from 'vitest'
import { diagram } from './diagram.ts'
import { type Entry, pictureOf } from './picture.ts'

const ENTRIES: readonly Entry[] = [
  ['table', 'orders', { kind: 'table' }],
  ['column', 'orders.customer_id', { type: 'bigint', 'not null': 'yes' }],
  ['column', 'orders.id', { type: 'bigint', 'not null': 'yes' }],
  ['column', 'orders.note', { type: 'character varying(20)' }],
  ['constraint', 'orders.orders_pkey', { definition: 'PRIMARY KEY (id)' }],
  ['constraint', 'orders.fk', { definition: 'FOREIGN KEY (customer_id) REFERENCES :schema."cus.tomers"(id)' }],
  ['table', '"cus.tomers"', { kind: 'table' }],
  ['column', '"cus.tomers".id', { type: 'bigint', 'not null': 'yes' }],
  ['column', '"cus.tomers"."e mail"', { type: 'text', 'not null': 'yes' }],
  ['constraint', '"cus.tomers".pk', { definition: 'PRIMARY KEY (id)' }],
  ['constraint', '"cus.tomers".uk', { definition: 'UNIQUE ("e mail")' }],
]

test('a diagram has tables with keys first, and relations from the foreign keys', () => {
  expect(diagram(pictureOf(ENTRIES))).toBe(`erDiagram
    "cus.tomers" {
        bigint id PK
        text c_e_mail_ UK
    }
    orders {
        bigint id PK
        bigint customer_id FK
        character_varying(20) note "may be empty"
    }
    "cus.tomers" ||--o{ orders : "customer_id"
`)
})

test('the diagram does not depend on the order of objects', () => {
  expect(diagram(pictureOf(ENTRIES.toReversed()))).toBe(diagram(pictureOf(ENTRIES)))
})

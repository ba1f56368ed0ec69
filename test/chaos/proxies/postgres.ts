import type { Socket } from 'node:net'
import type { Gate } from '../gate.ts'
import { openRelay, type Relay, type Upstream } from './listen.ts'

/** A message of the protocol with its type; '' for the first one, which has none. */
interface Message {
  readonly type: string
  readonly bytes: Buffer
}

const READ_ONLY = errorMessage('25006', 'cannot execute the statement in a read-only transaction')
const TOO_MANY = errorMessage('53300', 'sorry, too many clients already')
const VERBS = 'CREATE|ALTER|DROP|GRANT|REVOKE|INSERT|UPDATE|DELETE|TRUNCATE|COMMENT|DO|REASSIGN'
/** A COMMIT by itself ends what came in messages before it. */
const WRITES = new RegExp(`(?:^|;)\\s*(?:${VERBS})\\b|\\bpg_terminate_backend\\b|^\\s*COMMIT\\b`, 'i')
const MOST_TEXT = 120
/** How transactions begin and end, whatever they do. */
const OPENING = /^\s*(?:(?:BEGIN|SET LOCAL|COMMIT|ROLLBACK)\b|SELECT (?:pg_advisory_xact_lock|tenantry_fence))/i

/** A fault proxy for Postgres. Only statements of `admin` are fault points: a tenant's login tries what it must not. */
export async function openPostgresProxy(gate: Gate, upstream: Upstream, admin: string): Promise<Relay> {
  return await openRelay(upstream, async (client, open) => {
    if (gate.weather('postgres') === 'refusing') return void client.resetAndDestroy()
    if (gate.weather('postgres') === 'full') return void client.once('data', () => client.end(TOO_MANY))
    await relay(gate, client, open(), admin)
  })
}

async function relay(gate: Gate, client: Socket, server: Socket, admin: string): Promise<void> {
  const ends: Ends = { client, server, answers: new Answers(server, client) }
  let unit: Unit = EMPTY
  let identity: Identity = { isAdmin: false, database: '' }
  for await (const message of messages(client, true)) {
    if (message.type === '') identity = identityOf(message, admin)
    if (isQuery(message)) unit = await advance(gate, ends, message, { unit, identity })
    else server.write(message.bytes)
  }
  server.end()
}

interface Identity {
  readonly isAdmin: boolean
  readonly database: string
}

function identityOf({ bytes }: Message, admin: string): Identity {
  const words = bytes.toString('latin1', 8).split('\0')
  const said = (name: string): string => words[words.indexOf(name) + 1] ?? ''
  return { isAdmin: said('user') === admin, database: said('database') }
}

/** Takes one more message of a query, and passes the query on when it is whole. */
async function advance(
  gate: Gate,
  ends: Ends,
  message: Message,
  { unit, identity: { isAdmin, database } }: { unit: Unit; identity: Identity },
): Promise<Unit> {
  const { parts, text } = { parts: [...unit.parts, message.bytes], text: textOf(message) ?? unit.text }
  if (!'QS'.includes(message.type)) return { parts, text }
  await pass(gate, ends, Buffer.concat(parts), isAdmin && isWrite(text) ? { text, database } : undefined)
  return EMPTY
}

const EMPTY: Unit = { parts: [], text: '' }

/** The messages of one query so far, up to the one that the server answers. */
interface Unit {
  readonly parts: readonly Buffer[]
  readonly text: string
}

function isQuery({ type }: Message): boolean {
  return type !== '' && 'QPBDECSH'.includes(type)
}

function textOf({ type, bytes }: Message): string | undefined {
  if (type === 'Q') return bytes.subarray(5).toString('utf8')
  return type === 'P' ? bytes.subarray(bytes.indexOf(0, 5) + 1).toString('utf8') : undefined
}

type Ends = { client: Socket; server: Socket; answers: Answers }

async function pass(
  gate: Gate,
  { client, server, answers }: Ends,
  bytes: Buffer,
  write: { readonly text: string; readonly database: string } | undefined,
): Promise<void> {
  if (write === undefined) {
    if (gate.weather('postgres') === 'hanging') await gate.fair('postgres')
    server.write(bytes)
    return
  }
  const passage = gate.arrive('postgres', nameOf(write.text), write.database)
  const action = await passage.ahead()
  if (action === 'drop') return void client.resetAndDestroy()
  if (gate.weather('postgres') === 'hanging') await gate.fair('postgres')
  if (gate.weather('postgres') === 'read-only') return void client.write(Buffer.concat([READ_ONLY, answers.ready()]))
  const answer = answers.next()
  server.write(bytes)
  const { ok, bytes: reply } = await answer
  if ((await passage.behind(ok)) === 'drop') client.resetAndDestroy()
  else client.write(reply)
}

function isWrite(text: string): boolean {
  return WRITES.test(text.replace(/'(?:[^']|'')*'/g, "''").replace(/\0.*$/s, ''))
}

/** What a statement does and to what, without anything that differs from run to run. */
function nameOf(text: string): string {
  const plain = text.replace(/\0.*$/s, '').replace(/PASSWORD '[^']*'/g, "PASSWORD ''")
  const statements = plain.split(/;\s*\n/).filter((one) => !OPENING.test(one))
  const said = statements.length > 0 ? statements.slice(0, 2).join('; ') : plain
  return said
    .replace(/'tenantry:[^']*'/g, "'mark'")
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, MOST_TEXT)
}

/** What the server says: passed on at once, except while the answer to a fault point is waited for. */
class Answers {
  readonly #client: Socket
  #held: Buffer[] = []
  #waiting: ((answer: { ok: boolean; bytes: Buffer }) => void) | undefined
  #ok = true
  #state = 'I'

  constructor(server: Socket, client: Socket) {
    this.#client = client
    void this.#read(server)
  }

  next(): Promise<{ ok: boolean; bytes: Buffer }> {
    this.#ok = true
    this.#held = []
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** ReadyForQuery as the server last said it; a failed statement fails its transaction. */
  ready(): Buffer {
    return Buffer.from(`Z\0\0\0\u0005${this.#state === 'I' ? 'I' : 'E'}`, 'latin1')
  }

  async #read(server: Socket): Promise<void> {
    try {
      for await (const { type, bytes } of messages(server, false)) this.#take(type, bytes)
    } catch {
      // The relay breaks the client's connection when the server's ends.
    }
  }

  #take(type: string, bytes: Buffer): void {
    if (type === 'E') this.#ok = false
    if (type === 'Z') this.#state = bytes.toString('latin1', 5, 6)
    if (!this.#waiting) {
      this.#client.write(bytes)
      return
    }
    this.#held.push(bytes)
    if (type !== 'Z') return
    const resolve = this.#waiting
    this.#waiting = undefined
    resolve({ ok: this.#ok, bytes: Buffer.concat(this.#held) })
  }
}

/** Cuts a stream into messages. A client's first one has a length and no type. */
async function* messages(socket: Socket, untyped: boolean): AsyncGenerator<Message> {
  let pending: Buffer = Buffer.alloc(0)
  let first = untyped
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk])
    for (let length = lengthOf(pending, first); length > 0; length = lengthOf(pending, first)) {
      yield { type: first ? '' : pending.toString('latin1', 0, 1), bytes: pending.subarray(0, length) }
      pending = pending.subarray(length)
      first = false
    }
  }
}

/** Of the message at the start; 0 while it is not complete. */
function lengthOf(pending: Buffer, untyped: boolean): number {
  const header = untyped ? 0 : 1
  if (pending.length < header + 4) return 0
  const length = header + pending.readInt32BE(header)
  return pending.length < length ? 0 : length
}

function errorMessage(code: string, message: string): Buffer {
  const body = Buffer.from(`SERROR\0VERROR\0C${code}\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

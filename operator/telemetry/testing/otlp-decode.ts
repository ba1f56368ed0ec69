type Attribute = string | number | boolean | undefined

/** A span as it arrived. Ids in hexadecimal, times in milliseconds since 1970. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty for a root. */
  readonly parentSpanId: string
  readonly name: string
  readonly start: number
  readonly end: number
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly resource: Readonly<Record<string, Attribute>>
  /** `traceId-spanId`. */
  readonly links: readonly string[]
  readonly failed: boolean
}

/** The spans of an ExportTraceServiceRequest in protobuf, as far as tests need them. */
export function decodeSpans(body: Buffer): readonly ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const resource = attributesOf(messages(resourceSpans, 1).flatMap((one) => messages(one, 1)))
    return messages(resourceSpans, 2).flatMap((scope) => messages(scope, 2).map((span) => decodeSpan(span, resource)))
  })
}

function decodeSpan(span: Fields, resource: ReceivedSpan['resource']): ReceivedSpan {
  return {
    traceId: bytes(span, 1).toString('hex'),
    spanId: bytes(span, 2).toString('hex'),
    parentSpanId: bytes(span, 4).toString('hex'),
    name: bytes(span, 5).toString(),
    start: number(span, 7) / 1e6,
    end: number(span, 8) / 1e6,
    attributes: attributesOf(messages(span, 9)),
    resource,
    links: messages(span, 13).map((link) => `${bytes(link, 1).toString('hex')}-${bytes(link, 2).toString('hex')}`),
    failed: messages(span, 15).some((status) => number(status, 3) === 2),
  }
}

type Fields = ReadonlyMap<number, readonly (Buffer | number)[]>

function attributesOf(pairs: readonly Fields[]): Readonly<Record<string, Attribute>> {
  return Object.fromEntries(
    pairs.map((pair) => [bytes(pair, 1).toString(), anyValue(messages(pair, 2)[0] ?? new Map())] as const),
  )
}

function anyValue(value: Fields): Attribute {
  if (value.has(1)) return bytes(value, 1).toString()
  if (value.has(2)) return number(value, 2) === 1
  return value.has(3) ? number(value, 3) : undefined
}

function messages(fields: Fields, field: number): readonly Fields[] {
  return (fields.get(field) ?? []).map((value) => fieldsOf(value as Buffer))
}

function bytes(fields: Fields, field: number): Buffer {
  return (fields.get(field)?.[0] as Buffer | undefined) ?? Buffer.alloc(0)
}

function number(fields: Fields, field: number): number {
  return (fields.get(field)?.[0] as number | undefined) ?? 0
}

/** Field number → values. Varints and fixed numbers become numbers, everything else stays bytes. */
function fieldsOf(buffer: Buffer): Fields {
  const fields = new Map<number, (Buffer | number)[]>()
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = buffer[at++] ?? 0
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  const take = (length: number): Buffer => {
    at += length
    return buffer.subarray(at - length, at)
  }
  const readers: Readonly<Record<number, () => Buffer | number>> = {
    0: varint,
    1: () => Number(take(8).readBigUInt64LE()),
    2: () => take(varint()),
    5: () => take(4).readUInt32LE(),
  }
  while (at < buffer.length) {
    const tag = varint()
    const value = readers[tag & 7]?.()
    if (value === undefined) throw new Error(`no protobuf wire type ${tag & 7}`)
    fields.set(tag >>> 3, [...(fields.get(tag >>> 3) ?? []), value])
  }
  return fields
}

/** An error as ClickHouse's HTTP interface gives it. */
export class ClickHouseFailure extends Error {
  readonly code: number

  /** `text` is `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`, without the version. */
  constructor(code: number, text: string) {
    super(text)
    this.name = 'ClickHouseFailure'
    this.code = code
  }
}

export function failure(code: number, type: string, message: string): ClickHouseFailure {
  return new ClickHouseFailure(code, `Code: ${code}. DB::Exception: ${message} (${type})`)
}

const INTERNAL = 1002

/** Turns what chdb throws into a failure; an error that carries no code of ClickHouse's becomes an UNKNOWN_EXCEPTION. */
export function asFailure(error: unknown): ClickHouseFailure {
  if (error instanceof ClickHouseFailure) return error
  const text = error instanceof Error ? error.message : String(error)
  const code = /Code: (\d+)\. DB::Exception:/.exec(text)?.[1]
  if (code === undefined) return failure(INTERNAL, 'UNKNOWN_EXCEPTION', text)
  return new ClickHouseFailure(Number(code), withoutWrapping(text))
}

/** The engine wraps some errors into themselves, version and all. */
function withoutWrapping(text: string): string {
  const wrapped = /^(Code: \d+\. DB::Exception: )\1([\s\S]*?) \(version [^)]*\)\. \([A-Z0-9_]+\)\s*$/.exec(text)
  return (wrapped ? `${wrapped[1]}${wrapped[2]}` : text).trimEnd()
}

const STATUS: readonly (readonly [number, readonly number[]])[] = [
  [401, [194]],
  [403, [192, 193, 512, 516]],
  [400, [6, 25, 26, 27, 28, 36, 38, 41, 43, 53, 62, 72, 117, 158, 164, 321, 386, 427, 456, 457]],
  [404, [46, 47, 50, 56, 60, 63, 73, 81, 115, 208]],
  [408, [159]],
  [501, [48]],
  [503, [202, 209, 210, 439]],
]

/** The HTTP status the real server sends with an error code. */
export function statusOf(code: number): number {
  return STATUS.find(([, codes]) => codes.includes(code))?.[0] ?? 500
}

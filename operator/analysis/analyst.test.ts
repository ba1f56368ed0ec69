import { hasErrors } from '@tenantry/engines/postgres/lint/findings.ts'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { Analyst } from './analyst.ts'

function analyst(program?: URL): Analyst {
  const made = new Analyst({ clock: systemClock, ...(program && { program }) })
  onTestFinished(() => made.close())
  return made
}

const file = (body: string) => ({ name: '1_a.sql', body })

describe('the thread that reads SQL files', () => {
  test('finds what the rules say of them', async () => {
    const found = await analyst().ask('lint', file('creat table a (x int);'), {})
    expect(found).toMatchObject({ file: '1_a.sql', findings: [{ rule: 'syntax-error', line: 1 }] })
    expect(hasErrors(found)).toBe(true)
  })

  test('finds the statements of a file that runs outside a transaction, by its characters', async () => {
    const body = "-- größer\nselect 'ü';\n\nselect 2"
    const { statements = [] } = await analyst().ask('run', file(body), { transaction: false })
    expect(statements.map(({ start, end }) => body.slice(start, end).trim())).toEqual(["select 'ü'", 'select 2'])
    const broken = await analyst().ask('run', file('selec 1; select 2'), { transaction: false })
    expect(broken.statements).toEqual([{ start: 0, end: 17 }])
  })

  test('finds placeholders, and what a down file must find empty', async () => {
    const body = 'select 1; set search_path to :"schema"'
    const { placeholders, statements } = await analyst().ask('run', file(body), { transaction: false })
    expect(placeholders).toEqual([{ start: 29, end: 38, value: 'schema', as: 'identifier' }])
    expect(statements).toHaveLength(2)
    const down = await analyst().ask('undo', file('alter table notes drop column title'), {})
    expect(down).toEqual({ guards: [{ table: 'notes', column: 'title' }] })
    expect(await analyst().ask('undo', file('delete from notes'), {})).toEqual({ reason: expect.any(String) })
  })

  test('leaves the event loop to others while it reads a file of five megabytes', async () => {
    const row = "insert into facts (name) values ('a name');\n"
    const body = row.repeat(Math.floor((5 * 1024 * 1024) / row.length))
    let turns = 0
    let reading = true
    const turn = (): void => {
      turns += 1
      if (reading) setTimeout(turn, 1)
    }
    turn()
    const { findings } = await analyst().ask('lint', file(body), {})
    reading = false
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(turns).toBeGreaterThan(100)
  })

  test('reads a text once, and again when the policy is another', async () => {
    const one = analyst()
    const [first, second] = await Promise.all([
      one.ask('lint', file('select 1'), {}),
      one.ask('lint', file('select 1'), {}),
    ])
    expect(second).toBe(first)
    expect(await one.ask('lint', file('select 1'), { 'drop-table': 'off' })).not.toBe(first)
  })

  test.each(['exit', 'throw'])(
    'that dies of a file (%s) makes it an error of that file, and reads the next',
    async (body) => {
      const one = analyst(new URL('./testing/dying-worker.ts', import.meta.url))
      const results = await Promise.allSettled(
        [body, 'good'].map((text) => one.ask('run', file(text), { transaction: false })),
      )
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
      await expect(one.ask('run', file(body), { transaction: false })).rejects.toThrow(
        /read SQL file 1_a\.sql: the parser came to no end/,
      )
    },
  )

  test('reads nothing more once it is closed', async () => {
    const one = analyst()
    await one.close()
    await expect(one.ask('lint', file('select 1'), {})).rejects.toThrow(/the operator stops/)
  })
})

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { VARIANTS } from './variant-list.ts'

test.each(VARIANTS)('the broken variant $name can be made of the operator as it is', ({ patches }) => {
  for (const { file, from } of patches) {
    const source = readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8')
    expect(source.split(from).length - 1, `${file} has the text ${JSON.stringify(from)} once`).toBe(1)
  }
})

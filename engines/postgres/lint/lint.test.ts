import { expect, test } from 'vitest'
import { lint } from './lint.ts'
import { RULE_IDS, RULES } from './rules.ts'

test.each(RULE_IDS)('the bad example of %s breaks that rule and no other', async (id) => {
  const { findings } = await lint({ name: 'bad.sql', body: RULES[id].bad })
  expect([...new Set(findings.map(({ rule }) => rule))], JSON.stringify(findings)).toEqual([id])
})

test.each(RULE_IDS)('the good example of %s breaks no rule', async (id) => {
  const { findings } = await lint({ name: 'good.sql', body: RULES[id].good })
  expect(findings).toEqual([])
})

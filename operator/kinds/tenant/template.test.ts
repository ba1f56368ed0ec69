import { expect, test } from 'vitest'
import { renderTemplate } from './template.ts'

test('fills in keys of the Secret and leaves all else alone', () => {
  const template = { URL: 'pg://$(username):$(password)@$(host)', PLAIN: 'no $placeholder {x} $$(host)' }
  expect(renderTemplate(template, { username: 'u', password: 'p', host: 'h' })).toEqual({
    URL: 'pg://u:p@h',
    PLAIN: 'no $placeholder {x} $(host)',
  })
})

test('names the template key and the known keys when a placeholder is wrong, and shows no value', () => {
  const render = (text: string) => () => renderTemplate({ URL: text }, { password: 'geheim', host: 'h' })
  expect(render('$(hots)')).toThrow('render secretTemplate.URL: there is no key "hots"; use one of host, password')
  expect(render('$(constructor)')).toThrow(/no key/)
})

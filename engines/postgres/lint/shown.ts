const LONGEST = 80
const PLAIN = /^[ -~]{0,80}$/

/**
 * A part of a file as messages show it: in one line, without control or direction characters, and not longer than is of use.
 * A name may hold anything, also what would make a terminal or a log say something else.
 */
export function shown(text: string): string {
  if (PLAIN.test(text)) return text
  const characters = [...text.slice(0, 4 * LONGEST)]
  const cut = characters.length > LONGEST ? `${characters.slice(0, LONGEST).join('')}…` : characters.join('')
  return cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}

/** A name in double quotes, as messages show it. */
export function quoted(name: string | undefined): string {
  return `"${shown(name ?? '')}"`
}

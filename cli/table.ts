/** Rows under their headings, columns two spaces apart, no line longer than `width`: the widest cells are cut, with `…`. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], width = 100): string {
  const lines = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const gaps = 2 * (headings.length - 1)
  while (widths.reduce((sum, one) => sum + one, gaps) > width) {
    const widest = widths.indexOf(Math.max(...widths))
    widths[widest] = (widths[widest] ?? 1) - 1
  }
  const render = (line: readonly string[]): string =>
    widths
      .map((size, column) => cell(line[column] ?? '', size))
      .join('  ')
      .trimEnd()
  return lines.map(render).join('\n')
}

/** Breaks a text at its spaces into lines of at most `width`, a longer word excepted. */
export function wrap(text: string, width = 100): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}

function cell(text: string, size: number): string {
  return text.length > size ? `${text.slice(0, size - 1)}…` : text.padEnd(size)
}

/** Samples of a Prometheus text page by series: `name{labels}` as printed → value. */
export type Counters = ReadonlyMap<string, number>

export async function scrape(url: string): Promise<Counters> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return parseMetrics(await response.text())
}

export function parseMetrics(text: string): Counters {
  const samples = text.split('\n').flatMap((line): [string, number][] => {
    const match = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)/.exec(line)
    return match?.[1] === undefined ? [] : [[match[1], Number(match[2])]]
  })
  return new Map(samples)
}

/** How much every series grew. */
export function growth(before: Counters, after: Counters): Counters {
  return new Map([...after].map(([series, value]) => [series, value - (before.get(series) ?? 0)]))
}

/** Series of one metric with their labels. */
export function seriesOf(
  counters: Counters,
  metric: string,
): readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[] {
  return [...counters].flatMap(([series, value]) => {
    const [name, rest = ''] = series.split(/\{(.*)\}$/, 2)
    if (name !== metric) return []
    const pairs = [...rest.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [key, text])
    return [{ labels: Object.fromEntries(pairs), value }]
  })
}

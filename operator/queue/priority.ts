/** The bands in which the operator works: what ends first, then what people asked for, then what time asks for. */
export const PRIORITY = { finalize: 10, normal: 0, resync: -100 } as const

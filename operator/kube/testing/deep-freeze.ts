/** Freezes a value with everything in it, so that whoever changes what is shared fails. For tests, as an informer's transform. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const held of Object.values(value)) deepFreeze(held)
    Object.freeze(value)
  }
  return value
}

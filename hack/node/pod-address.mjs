/**
 * Loaded before the program of every container: a Node server that would listen on all addresses listens on its Pod's
 * alone, as it would in a network namespace, so that several Pods can have the same port.
 */
import { Server } from 'node:net'

const address = process.env.TENANTRY_POD_IP
const everywhere = new Set([undefined, '', '0.0.0.0', '::'])
const listen = Server.prototype.listen

if (address) {
  Server.prototype.listen = function listenOnPod(...args) {
    return listen.apply(this, withAddress(args))
  }
}

function withAddress(args) {
  const [first, second, ...rest] = args
  if (typeof first === 'object' && first !== null) {
    const bindable = first.port !== undefined && everywhere.has(first.host)
    return bindable ? [{ ...first, host: address }, second, ...rest] : args
  }
  if (first !== undefined && Number.isNaN(Number(first))) return args
  if (typeof second !== 'string') return [first ?? 0, address, second, ...rest].filter((each) => each !== undefined)
  return everywhere.has(second) ? [first, address, ...rest] : args
}

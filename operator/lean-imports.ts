/**
 * Loaded before the operator (`node --import`). Of the Kubernetes client the operator uses KubeConfig alone, which finds and renews
 * credentials; the package would load its generated classes of the whole API along with it, a third of the memory of an
 * operator without tenants and most of the time it takes to start.
 */
import { registerHooks } from 'node:module'

const PACKAGE = '@kubernetes/client-node'
const CONFIG = `${PACKAGE}/dist/config.js`
/** What config.js takes from the generated API, for a method that the operator does not call. */
const UNUSED = 'data:text/javascript,export const createConfiguration = undefined, ServerConfiguration = undefined'

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === PACKAGE) return next(CONFIG, context)
    const generated = specifier === './gen/index.js' && context.parentURL?.endsWith(`/${CONFIG}`)
    return generated ? { url: UNUSED, format: 'module', shortCircuit: true } : next(specifier, context)
  },
})

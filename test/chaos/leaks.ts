import { LABEL_MANAGED } from '@tenantry/crds/annotations.ts'
import { EVENTS, SECRETS } from '@tenantry/operator/kube/types.ts'
import { decoded, type Stage } from './lifecycles/life.ts'
import type { OperatorProcess } from './operator.ts'
import type { Slot } from './slot.ts'

/** Passwords that are anywhere but in a Secret: in the log, in events, or in a status. */
export async function findLeaks({ lab }: Slot, stage: Stage, operator: OperatorProcess): Promise<readonly string[]> {
  // One by one, because the events of all runs are a long list.
  const found = await Promise.all(
    stage.names.namespaces().map(async (namespace) => ({
      secrets: await lab.kube.list(SECRETS, { namespace, labelSelector: `${LABEL_MANAGED}=true` }),
      events: await lab.kube.list(EVENTS, { namespace }),
    })),
  )
  const { postgres, redis, clickhouse } = lab.servers
  const passwords = new Set([
    ...[postgres, redis, clickhouse].map(({ password = '' }) => password),
    ...found.flatMap(({ secrets }) => secrets.items.map((secret) => decoded(secret).password ?? '')),
    ...stage.credentials.values(),
  ])
  passwords.delete('')
  const places = {
    'the log': operator.said(),
    'an event': JSON.stringify(found.map(({ events }) => events.items)),
    'a status': JSON.stringify([...stage.tenants.store.list(), ...stage.databases.store.list()]),
  }
  return Object.entries(places).flatMap(([place, text]) =>
    [...passwords].some(
      (password) => text.includes(password) || text.includes(Buffer.from(password).toString('base64')),
    )
      ? [`a password is in ${place}`]
      : [],
  )
}

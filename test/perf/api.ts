import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import { GROUP, VERSION } from '@tenantry/crds/common.ts'
import { Pool } from 'undici'

const CONNECTIONS = 64

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** A bare pooled client of the API server. */
export interface Api {
  /** Resolves to the answer's text; rejects unless the status is 2xx. `type`: the body's content type. */
  send(method: Method, path: string, body?: string, type?: string): Promise<string>
  close(): Promise<void>
}

export async function openApi(kubeConfig: KubeConfig): Promise<Api> {
  const options: RequestOptions = { headers: {} }
  await kubeConfig.applyToHTTPSOptions(options)
  const { ca, cert, key } = options
  const headers = options.headers as Readonly<Record<string, string>>
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), allowH2: false }
  const pool = new Pool(kubeConfig.getCurrentCluster()?.server ?? '', {
    connections: CONNECTIONS,
    connect: tls as object,
    allowH2: false,
  })
  return {
    async send(method, path, body, type = 'application/json') {
      const answer = await pool.request({
        method,
        path,
        body: body ?? null,
        headers: { ...headers, accept: 'application/json', ...(body !== undefined && { 'content-type': type }) },
      })
      const text = await answer.body.text()
      if (answer.statusCode < 300) return text
      throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text.slice(0, 500)}`)
    },
    close: () => pool.close(),
  }
}

export function tenantsPath(namespace: string): string {
  return `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/tenants`
}

export function secretsPath(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/secrets`
}

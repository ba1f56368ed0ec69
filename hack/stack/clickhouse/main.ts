/** ClickHouse for the embedded stack: `node main.ts config.json`. Ends at SIGTERM once its queries are done. */
import { readFileSync } from 'node:fs'
import { openEngine } from './engine.ts'
import { type Access, createClickHouseServer } from './server.ts'

interface Config extends Access {
  readonly data: string
  readonly port: number
}

const config: Config = JSON.parse(readFileSync(process.argv[2] ?? 'config.json', 'utf8'))
const engine = await openEngine(config.data)
const server = createClickHouseServer(engine, config)
server.listen(config.port, '127.0.0.1', () => console.log(`ClickHouse ${engine.version} listens on ${config.port}`))

const end = (): void => {
  server.close(() => void engine.close().then(() => process.exit(0)))
  server.closeIdleConnections()
}
process.once('SIGTERM', end)
process.once('SIGINT', end)

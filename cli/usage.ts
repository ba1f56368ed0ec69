/** How `tenantry migrations` is called. */
export const MIGRATIONS_USAGE = `Usage: tenantry migrations --database NAMESPACE/NAME [--tenant NAMESPACE/NAME] [--sql] [-o text|json]

Says which SQL files the tenants of a Database still lack, and with --sql what would run. Servers are asked to refuse every
write meanwhile. The cluster is the one that kubectl talks to.
Exit code 0: nothing is pending; 1: something is; 2: used wrongly, or something could not be read.`

/** How `tenantry schema` is called. */
export const SCHEMA_USAGE = `Usage: tenantry schema --database NAMESPACE/NAME [--tenant NAMESPACE/NAME] [--diagram] [-o text|json]

Tells the history of a Database's SQL files: when each was first and last applied, to how many schemas and by whom. With
--diagram a Mermaid diagram instead: of the tenant's tables, or of what the files make, which are run in a scratch schema and
rolled back.`

-- tenant_id comes first in the sorting key: a tenant's query reads that tenant's part of the table alone. ClickHouse has
-- no transactions, so a file must be one that can be run again.
CREATE TABLE IF NOT EXISTS events (
  tenant_id LowCardinality(String),
  at DateTime64(3),
  name LowCardinality(String),
  properties String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (tenant_id, name, at);

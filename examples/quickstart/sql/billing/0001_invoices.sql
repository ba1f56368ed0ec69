-- A shared table: rows of all tenants, told apart by tenant_id. tenantry.tenant_id() is the tenant that is logged in. The
-- operator adds the row security as the table is made.
CREATE TABLE invoices (
  tenant_id text NOT NULL DEFAULT tenantry.tenant_id(),
  number bigint NOT NULL,
  total_cents bigint NOT NULL,
  issued_on date NOT NULL DEFAULT current_date,
  PRIMARY KEY (tenant_id, number)
);

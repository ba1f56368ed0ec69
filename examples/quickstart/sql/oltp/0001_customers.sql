CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Finds customers by a part of their name, with the extension that the tier asks for.
CREATE INDEX customers_name ON customers USING gin (name gin_trgm_ops);

/** The most bytes that a payload or a result may have as JSON text, unless the installation says otherwise. */
export const PAYLOAD_LIMIT = 1_048_576

/**
 * The tables, in the order in which they are made; `$s` is the schema. Jobs are partitioned by their id, whose upper bits are
 * the time, so that a look-up by id touches one partition and whole days leave by being detached. What no day has room for
 * goes to the partition `job_rest`: days that nobody prepared, and jobs that outlive their day.
 */
export const TABLES: readonly string[] = [
  `CREATE TABLE $s.setting (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  fingerprint text NOT NULL,
  fast boolean NOT NULL DEFAULT false,
  fast_since xid8 NOT NULL DEFAULT '0',
  restricted boolean NOT NULL DEFAULT false,
  payload_limit int NOT NULL DEFAULT ${PAYLOAD_LIMIT},
  generation text,
  server text,
  relayed xid8 NOT NULL DEFAULT '0',
  leader int,
  leads_until timestamptz NOT NULL DEFAULT '-infinity'
)`,
  'CREATE SEQUENCE $s.job_seq CACHE 100',
  `CREATE TABLE $s.job (
  id bigint NOT NULL,
  run_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  deadline timestamptz,
  batch_id bigint,
  epoch int NOT NULL DEFAULT 0,
  seq int NOT NULL DEFAULT 1,
  worker_id int,
  backoff int NOT NULL DEFAULT 0,
  state smallint NOT NULL,
  priority smallint NOT NULL,
  attempt smallint NOT NULL DEFAULT 0,
  max_attempts smallint NOT NULL,
  crashes smallint NOT NULL DEFAULT 0,
  counted smallint NOT NULL DEFAULT 0,
  queue text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
  name text COLLATE "C" NOT NULL CHECK (name <> ''),
  dedup_key text COLLATE "C",
  tags text[],
  payload json NOT NULL,
  progress json,
  result json,
  error text,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id)`,
  'CREATE INDEX job_ready ON $s.job (queue, priority, tenant, id) WHERE state = 1',
  'CREATE INDEX job_scheduled ON $s.job (run_at) WHERE state = 0',
  'CREATE INDEX job_leased ON $s.job (worker_id) WHERE state = 2',
  'CREATE INDEX job_dead ON $s.job (queue, id) WHERE state = 4',
  'CREATE TABLE $s.job_rest PARTITION OF $s.job DEFAULT',
  `CREATE TABLE $s.event (
  at timestamptz NOT NULL,
  job_id bigint NOT NULL,
  seq int,
  epoch int NOT NULL,
  worker_id int,
  kind smallint NOT NULL,
  "from" smallint,
  "to" smallint,
  actor text,
  detail text
) PARTITION BY RANGE (at)`,
  'CREATE INDEX event_job ON $s.event (job_id)',
  'CREATE TABLE $s.event_rest PARTITION OF $s.event DEFAULT',
  `CREATE TABLE $s.queue (
  name text COLLATE "C" PRIMARY KEY CHECK (name <> '' AND name !~ '[[:cntrl:]]'),
  priority smallint NOT NULL DEFAULT 1,
  paused boolean NOT NULL DEFAULT false,
  concurrency int CHECK (concurrency > 0),
  per_tenant int CHECK (per_tenant > 0),
  timeout_ms bigint NOT NULL DEFAULT 300000 CHECK (timeout_ms > 0),
  attempts smallint NOT NULL DEFAULT 20 CHECK (attempts > 0),
  backoff_ms int NOT NULL DEFAULT 1000 CHECK (backoff_ms > 0),
  backoff_limit_ms int NOT NULL DEFAULT 3600000 CHECK (backoff_limit_ms >= backoff_ms)
)`,
  // queue '' stands for all queues.
  `CREATE TABLE $s.quota (
  queue text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  weight double precision NOT NULL DEFAULT 1 CHECK (weight >= 0.001 AND weight <= 1000000),
  concurrency int CHECK (concurrency > 0),
  rate double precision CHECK (rate > 0),
  burst double precision CHECK (burst >= 1),
  paused boolean NOT NULL DEFAULT false,
  PRIMARY KEY (queue, tenant)
)`,
  // How many jobs run that were counted when they were claimed; tenant '' is the queue as a whole. Only where there is a limit.
  `CREATE TABLE $s.usage (
  queue text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  running int NOT NULL DEFAULT 0 CHECK (running >= 0),
  tokens double precision,
  refilled_at timestamptz,
  PRIMARY KEY (queue, tenant)
) WITH (fillfactor = 50)`,
  `CREATE TABLE $s.dedup (
  queue text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  job_id bigint NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (queue, tenant, key)
)`,
  `CREATE TABLE $s.batch (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  total int NOT NULL DEFAULT 0,
  pending int NOT NULL DEFAULT 0,
  unsuccessful int NOT NULL DEFAULT 0,
  callback json,
  made_at timestamptz NOT NULL DEFAULT now()
)`,
  `CREATE TABLE $s.worker (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lease_until timestamptz NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  host text NOT NULL
) WITH (fillfactor = 50)`,
  `CREATE TABLE $s.cron (
  name text COLLATE "C" PRIMARY KEY,
  schedule text NOT NULL,
  timezone text NOT NULL,
  job json NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  next_at timestamptz NOT NULL,
  last_at timestamptz
)`,
  // What became ready in which transaction, for the relay to Redis: a span of ids where they were made, else the ids.
  `CREATE TABLE $s.announcement (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  low bigint,
  high bigint,
  ids bigint[]
)`,
  'ALTER TABLE $s.announcement ALTER ids SET STORAGE EXTERNAL',
  'CREATE INDEX announcement_xid ON $s.announcement (xid)',
  // A login and the tenant that it speaks for; a role without one may name any tenant.
  `CREATE TABLE $s.binding (
  login name PRIMARY KEY,
  tenant text COLLATE "C" CHECK (tenant <> '')
)`,
  `CREATE TABLE $s.grantee (
  role name NOT NULL,
  access text NOT NULL,
  PRIMARY KEY (role, access)
)`,
  `INSERT INTO $s.queue (name) VALUES ('default')`,
]

import { OPERATORS, type SqlFunction, WORKERS } from './define.ts'
import { allowance } from './fragments.ts'
import { state } from './states.ts'

/** How many days have a partition before they begin. */
const DAYS_AHEAD = 3

/**
 * Makes the partitions of today and the next days. A day that already has rows in the rest partition stays there. Waits for locks
 * no longer than two seconds; what it could not do it does the next time.
 */
const prepareDays: SqlFunction = {
  name: 'prepare_days',
  returns: 'int',
  access: WORKERS,
  settings: { lock_timeout: "'2s'", timezone: "'UTC'" },
  declare: `day date; low bigint; high bigint; made int := 0; part text; schema text := (SELECT n.nspname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $oid(job));`,
  body: `FOR i IN 0..${DAYS_AHEAD} LOOP
  day := current_date + i;
  low := extract(epoch FROM day)::bigint * 1000 << 20;
  high := extract(epoch FROM day + 1)::bigint * 1000 << 20;
  part := format('%I.%I', schema, 'job_' || to_char(day, 'YYYYMMDD'));
  IF to_regclass(part) IS NULL AND NOT EXISTS (SELECT FROM $s.job_rest r WHERE r.id >= low AND r.id < high) THEN
    EXECUTE format('CREATE TABLE %s (LIKE %I.job INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)', part, schema);
    EXECUTE format('ALTER TABLE %I.job ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)', schema, part, low, high);
    made := made + 1;
  END IF;
  part := format('%I.%I', schema, 'event_' || to_char(day, 'YYYYMMDD'));
  IF to_regclass(part) IS NULL AND NOT EXISTS (SELECT FROM $s.event_rest r WHERE r.at >= day AND r.at < day + 1) THEN
    EXECUTE format('CREATE TABLE %s (LIKE %I.event INCLUDING DEFAULTS)', part, schema);
    EXECUTE format('ALTER TABLE %I.event ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', schema, part, day, day + 1);
    made := made + 1;
  END IF;
END LOOP;
RETURN made;`,
}

/**
 * Detaches and drops the days that are older than asked. Jobs that still live, ended lately or are dead and not yet old enough
 * move to the rest partition in the same transaction, with their ids.
 */
const retain: SqlFunction = {
  name: 'retain',
  args: '_finished interval, _dead interval, _events interval',
  returns: 'json',
  access: OPERATORS,
  settings: { lock_timeout: "'2s'", timezone: "'UTC'" },
  declare: `p record; day date; kept bigint := 0; moved bigint; dropped text[] := '{}';
  keep text := 'state IN (${state('scheduled')}, ${state('ready')}, ${state('leased')}) OR changed_at >= now() - CASE state WHEN ${state('dead')} THEN $2 ELSE $1 END';`,
  body: `FOR p IN SELECT c.relname AS part, n.nspname AS schema, parent.relname AS parent FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  JOIN pg_class parent ON parent.oid = i.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE i.inhparent IN ($oid(job), $oid(event)) AND c.relname ~ '^(job|event)_[0-9]{8}$' ORDER BY c.relname
LOOP
  day := to_date(right(p.part, 8), 'YYYYMMDD');
  CONTINUE WHEN day + 1 > now() - CASE p.parent WHEN 'job' THEN _finished ELSE _events END;
  EXECUTE format('ALTER TABLE %I.%I DETACH PARTITION %I.%I', p.schema, p.parent, p.schema, p.part);
  IF p.parent = 'job' THEN
    EXECUTE format('INSERT INTO %I.job SELECT * FROM %I.%I WHERE ' || keep, p.schema, p.schema, p.part) USING _finished, _dead;
    GET DIAGNOSTICS moved = ROW_COUNT;
    kept := kept + moved;
  END IF;
  EXECUTE format('DROP TABLE %I.%I', p.schema, p.part);
  dropped := dropped || p.part::text;
END LOOP;
EXECUTE format('DELETE FROM %s WHERE NOT (' || keep || ')', $oid(job_rest)) USING _finished, _dead;
DELETE FROM $s.event_rest e WHERE e.at < now() - _events;
DELETE FROM $s.dedup d WHERE d.until < now();
DELETE FROM $s.batch b WHERE b.pending = 0 AND b.made_at < now() - _finished;
DELETE FROM $s.worker w WHERE w.lease_until < now() - interval '1 day' AND NOT EXISTS (
  SELECT FROM $s.job j WHERE j.worker_id = w.id AND j.state = ${state('leased')});
RETURN json_build_object('dropped', to_json(dropped), 'kept', kept);`,
}

/**
 * One row for each queue. \`runnable\` leaves out what more workers would not start sooner: jobs of paused queues and tenants, and those
 * beyond a cap or a rate within \`_horizon\` seconds. \`arrivals\` is jobs a second over the last \`_window\` seconds.
 */
const stats: SqlFunction = {
  name: 'stats',
  args: '_window int DEFAULT 10, _horizon int DEFAULT 60',
  returns: `TABLE (queue text, priority smallint, paused boolean, ready bigint, runnable bigint, running bigint, delayed bigint, dead bigint,
  oldest_seconds double precision, arrivals double precision)`,
  access: ['worker', 'operator'],
  declare: `since bigint := floor(extract(epoch FROM clock_timestamp() - make_interval(secs => _window)) * 1000)::bigint << 20;`,
  body: `RETURN QUERY
WITH waiting AS (SELECT j.queue, j.tenant, count(*) AS n, min(j.id) AS oldest FROM $s.job j WHERE j.state = ${state('ready')} GROUP BY 1, 2),
flow AS (
  SELECT w.queue, w.n, w.oldest, CASE WHEN a.paused THEN 0 ELSE least(w.n, greatest(0, a.concurrency - coalesce(u.running, 0)),
    floor(coalesce(u.tokens, a.burst) + a.rate * _horizon)) END AS able, a.queue_concurrency
  FROM waiting w JOIN ${allowance('w.queue', 'w.tenant')} a ON true LEFT JOIN $s.usage u ON u.queue = w.queue AND u.tenant = w.tenant),
ready AS (SELECT f.queue, sum(f.n)::bigint AS n, sum(f.able)::bigint AS able, min(f.oldest) AS oldest FROM flow f GROUP BY 1),
busy AS (SELECT j.queue, count(*) AS n FROM $s.job j WHERE j.state = ${state('leased')} GROUP BY 1),
later AS (SELECT j.queue, count(*) AS n FROM $s.job j WHERE j.state = ${state('scheduled')} GROUP BY 1),
lost AS (SELECT j.queue, count(*) AS n FROM $s.job j WHERE j.state = ${state('dead')} GROUP BY 1),
fresh AS (SELECT j.queue, count(*) AS n FROM $s.job j WHERE j.id >= since GROUP BY 1)
SELECT q.name, q.priority, q.paused, coalesce(r.n, 0), least(coalesce(r.able, 0), greatest(0, q.concurrency - coalesce(b.n, 0))),
  coalesce(b.n, 0), coalesce(l.n, 0), coalesce(d.n, 0),
  extract(epoch FROM clock_timestamp())::double precision - (r.oldest >> 20) / 1000.0::double precision,
  coalesce(f.n, 0) / _window::double precision
FROM $s.queue q LEFT JOIN ready r ON r.queue = q.name LEFT JOIN busy b ON b.queue = q.name LEFT JOIN later l ON l.queue = q.name
LEFT JOIN lost d ON d.queue = q.name LEFT JOIN fresh f ON f.queue = q.name ORDER BY q.name;`,
}

export const HISTORY: readonly SqlFunction[] = [prepareDays, retain, stats]

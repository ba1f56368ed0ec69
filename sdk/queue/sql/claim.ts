import { BY_KEY, type SqlFunction, WORKERS } from './define.ts'
import { allowance, noteEvents } from './fragments.ts'
import { CLASS_WEIGHTS, eventOf, mayTake, mayTakeById, PRIORITIES, state } from './states.ts'

/** How long after its queue's timeout a job is taken from a worker that beats but does not give it back. */
export const DEADLINE_GRACE_MS = 30_000

const CLAIMED = `TABLE (_id bigint, _epoch int, _attempt smallint, _crashes smallint, _backoff int, _priority smallint, _queue text,
  _tenant text, _name text, _payload json)`

const checkWorker: SqlFunction = {
  name: 'check_worker',
  args: '_worker int',
  returns: 'void',
  body: `IF NOT EXISTS (SELECT FROM $s.worker w WHERE w.id = _worker AND w.lease_until > clock_timestamp()) THEN
  RAISE EXCEPTION USING ERRCODE = 'TQ004', MESSAGE = format('worker %s is unknown or its lease has run out: register again', _worker);
END IF;`,
}

/** Gives ready jobs to a worker: the arbiter. What is not ready any more is left out. `_counted` belongs to `_ids`, or is null. */
const lease: SqlFunction = {
  name: 'lease',
  args: '_worker int, _ids bigint[], _counted smallint[]',
  returns: CLAIMED,
  settings: BY_KEY,
  declare: 'begun timestamptz := clock_timestamp();',
  body: `RETURN QUERY
WITH moved AS (
  UPDATE $s.job j SET state = ${state('leased')}, epoch = j.epoch + 1, seq = j.seq + 1, worker_id = _worker, changed_at = begun,
    counted = coalesce(c.counted, 0), deadline = begun + make_interval(secs => (q.timeout_ms + ${DEADLINE_GRACE_MS}) / 1000.0)
  FROM unnest(_ids, _counted) AS c (id, counted), $s.queue q
  WHERE j.id = c.id AND ${mayTakeById('claimed', 'j.state')} AND q.name = j.queue
  RETURNING j.id, j.epoch, j.seq, j.attempt, j.crashes, j.backoff, j.priority, j.queue, j.tenant, j.name, j.payload, j.worker_id,
    j.changed_at),
noted AS (${noteEvents('moved', eventOf('claimed'))})
SELECT m.id, m.epoch, m.attempt, m.crashes, m.backoff, m.priority, m.queue, m.tenant, m.name, m.payload FROM moved m ORDER BY m.id;`,
}

/**
 * Which of these ready jobs may run now by pauses, caps and, where asked, rates; what it admits is counted. The rows of
 * `usage` are locked in one order, after the jobs.
 */
const admit: SqlFunction = {
  name: 'admit',
  args: '_ids bigint[], _rated boolean',
  returns: 'TABLE (_id bigint, _counted smallint)',
  settings: BY_KEY,
  declare: 'locked bigint[]; begun timestamptz := clock_timestamp();',
  body: `locked := ARRAY(SELECT j.id FROM unnest(_ids) WITH ORDINALITY AS c (id, ord) JOIN $s.job j ON j.id = c.id
  WHERE ${mayTakeById('claimed', 'j.state')} ORDER BY c.ord FOR UPDATE OF j SKIP LOCKED);
INSERT INTO $s.usage (queue, tenant, tokens, refilled_at)
  SELECT x.queue, x.tenant, x.burst, begun FROM (
    SELECT f.queue, f.tenant, a.burst FROM (SELECT DISTINCT j.queue, j.tenant FROM unnest(locked) AS c (id) JOIN $s.job j ON j.id = c.id) f,
      ${allowance('f.queue', 'f.tenant')} a WHERE a.concurrency IS NOT NULL OR (_rated AND a.rate IS NOT NULL)
    UNION SELECT j.queue, '', NULL FROM unnest(locked) AS c (id) JOIN $s.job j ON j.id = c.id JOIN $s.queue q ON q.name = j.queue
      WHERE q.concurrency IS NOT NULL) x
  ORDER BY 1, 2 ON CONFLICT DO NOTHING;
PERFORM FROM $s.usage u WHERE (u.queue, u.tenant) IN (
  SELECT j.queue, t.tenant FROM unnest(locked) AS c (id) JOIN $s.job j ON j.id = c.id, LATERAL (VALUES (j.tenant), ('')) t (tenant))
  ORDER BY u.queue, u.tenant FOR UPDATE;
RETURN QUERY
WITH ranked AS (
  SELECT j.id, j.queue, j.tenant, c.ord, row_number() OVER (PARTITION BY j.queue, j.tenant ORDER BY c.ord) AS rank
  FROM unnest(locked) WITH ORDINALITY AS c (id, ord) JOIN $s.job j ON j.id = c.id),
flow AS (
  SELECT f.queue, f.tenant, a.*, coalesce(u.running, 0) AS running, least(a.burst, coalesce(u.tokens, a.burst)
    + extract(epoch FROM begun - coalesce(u.refilled_at, begun)) * a.rate)::double precision AS tokens
  FROM (SELECT DISTINCT r.queue, r.tenant FROM ranked r) f
  JOIN ${allowance('f.queue', 'f.tenant')} a ON true
  LEFT JOIN $s.usage u ON u.queue = f.queue AND u.tenant = f.tenant),
fitting AS (
  SELECT r.*, f.concurrency, f.queue_concurrency, row_number() OVER (PARTITION BY r.queue ORDER BY r.ord) AS place
  FROM ranked r JOIN flow f ON f.queue = r.queue AND f.tenant = r.tenant
  WHERE NOT f.paused AND (f.concurrency IS NULL OR r.rank <= f.concurrency - f.running)
    AND (NOT _rated OR f.rate IS NULL OR r.rank <= floor(f.tokens))),
admitted AS (
  SELECT x.id, x.queue, x.tenant, x.ord, x.concurrency, x.queue_concurrency,
    (CASE WHEN x.concurrency IS NULL THEN 0 ELSE 1 END + CASE WHEN x.queue_concurrency IS NULL THEN 0 ELSE 2 END)::smallint AS counted
  FROM fitting x LEFT JOIN $s.usage u ON u.queue = x.queue AND u.tenant = ''
  WHERE x.queue_concurrency IS NULL OR x.place <= x.queue_concurrency - coalesce(u.running, 0)),
grown AS (
  SELECT d.queue, d.tenant, count(*) FILTER (WHERE d.counted & 1 = 1) AS more, count(*) AS spent FROM admitted d GROUP BY 1, 2
  UNION ALL SELECT d.queue, '', count(*), 0 FROM admitted d WHERE d.counted & 2 = 2 GROUP BY 1),
written AS (
  UPDATE $s.usage u SET running = u.running + g.more,
    tokens = CASE WHEN _rated AND f.rate IS NOT NULL THEN f.tokens - g.spent ELSE u.tokens END,
    refilled_at = CASE WHEN _rated AND f.rate IS NOT NULL THEN begun ELSE u.refilled_at END
  FROM grown g LEFT JOIN flow f ON f.queue = g.queue AND f.tenant = g.tenant
  WHERE u.queue = g.queue AND u.tenant = g.tenant)
SELECT d.id, d.counted FROM admitted d ORDER BY d.ord;`,
}

/** Claims jobs by their ids, as Redis named them. Those that a pause or a cap holds back come back without an epoch. */
const claim: SqlFunction = {
  name: 'claim',
  args: '_worker int, _ids bigint[]',
  returns: CLAIMED,
  access: WORKERS,
  settings: BY_KEY,
  declare: 'chosen bigint[]; marks smallint[];',
  body: `PERFORM $s.check_worker(_worker);
IF NOT (SELECT s.restricted FROM $s.setting s) THEN
  RETURN QUERY SELECT * FROM $s.lease(_worker, _ids, NULL);
  RETURN;
END IF;
SELECT array_agg(a._id), array_agg(a._counted) INTO chosen, marks FROM $s.admit(_ids, false) a;
RETURN QUERY SELECT * FROM $s.lease(_worker, chosen, marks);
RETURN QUERY SELECT j.id, NULL::int, j.attempt, j.crashes, j.backoff, j.priority, j.queue, j.tenant, j.name, NULL::json
  FROM unnest(_ids) AS c (id) JOIN $s.job j ON j.id = c.id WHERE ${mayTakeById('claimed', 'j.state')};`,
}

/** Finds jobs of one class, round the tenants from the one after `_after`, each with its share. Locks what it returns. */
const pick: SqlFunction = {
  name: 'pick',
  args: '_queues text[], _priority int, _most int, _after text, _taken bigint[]',
  returns: 'bigint[]',
  settings: BY_KEY,
  body: `RETURN ARRAY(
WITH RECURSIVE walk AS (
  SELECT o.name AS queue, s.pass, s.stop, f.tenant FROM unnest(_queues) AS o (name),
    (VALUES (1, _after, NULL), (2, '', _after)) AS s (pass, start, stop),
    LATERAL (SELECT j.tenant FROM $s.job j WHERE j.queue = o.name AND j.priority = _priority AND ${mayTake('claimed', 'j.state')}
      AND j.tenant > s.start ORDER BY j.tenant LIMIT 1) f
    WHERE s.stop IS NULL OR f.tenant <= s.stop
  UNION ALL
  SELECT w.queue, w.pass, w.stop, f.tenant FROM walk w,
    LATERAL (SELECT j.tenant FROM $s.job j WHERE j.queue = w.queue AND j.priority = _priority AND ${mayTake('claimed', 'j.state')}
      AND j.tenant > w.tenant ORDER BY j.tenant LIMIT 1) f
    WHERE w.stop IS NULL OR f.tenant <= w.stop),
flow AS MATERIALIZED (
  SELECT w.queue, w.tenant, w.pass, a.weight, a.concurrency - coalesce(u.running, 0) AS room, a.rate, CASE WHEN a.rate IS NOT NULL
    THEN floor(least(a.burst, coalesce(u.tokens, a.burst) + extract(epoch FROM clock_timestamp() - coalesce(u.refilled_at, now())) * a.rate))
    END AS tokens
  FROM (SELECT * FROM walk LIMIT _most * 2) w JOIN ${allowance('w.queue', 'w.tenant')} a ON NOT a.paused
  LEFT JOIN $s.usage u ON u.queue = w.queue AND u.tenant = w.tenant
  WHERE (a.concurrency IS NULL OR a.concurrency > coalesce(u.running, 0)))
SELECT x.id FROM (SELECT f.*, sum(f.weight) OVER () AS weights FROM flow f) f,
  LATERAL (SELECT j.id FROM $s.job j WHERE j.queue = f.queue AND j.priority = _priority AND j.tenant = f.tenant
    AND ${mayTake('claimed', 'j.state')} AND j.id <> ALL (_taken) ORDER BY j.id
    LIMIT least(ceil(_most * f.weight / f.weights), f.room, f.tokens)::int FOR UPDATE SKIP LOCKED) x
ORDER BY f.pass, f.tenant LIMIT _most);`,
}

const WEIGHTS = Object.entries(PRIORITIES)
  .map(([name, code]) => `(${code}, ${CLASS_WEIGHTS[name as keyof typeof PRIORITIES]})`)
  .join(', ')

/** Claims up to `_most` jobs without Redis: classes by their weights, tenants in turn. `_queues` null means all. */
const take: SqlFunction = {
  name: 'take',
  args: '_worker int, _queues text[], _most int, _after text',
  returns: CLAIMED,
  access: WORKERS,
  settings: BY_KEY,
  declare: 'open text[]; chosen bigint[] := ARRAY[]::bigint[]; marks smallint[]; c record; found bigint[];',
  body: `PERFORM $s.check_worker(_worker);
open := ARRAY(SELECT q.name FROM $s.queue q LEFT JOIN $s.usage u ON u.queue = q.name AND u.tenant = ''
  WHERE (_queues IS NULL OR q.name = ANY (_queues)) AND NOT q.paused AND (q.concurrency IS NULL OR coalesce(u.running, 0) < q.concurrency));
FOR c IN
  WITH waiting AS (SELECT v.priority, v.weight FROM (VALUES ${WEIGHTS}) AS v (priority, weight) WHERE EXISTS (
    SELECT FROM unnest(open) AS o (name), LATERAL (SELECT FROM $s.job j WHERE j.queue = o.name AND j.priority = v.priority
      AND ${mayTake('claimed', 'j.state')} LIMIT 1) x)),
  share AS (SELECT w.priority, floor(_most * w.weight / (sum(w.weight) OVER ())::float8 + random()) AS part FROM waiting w)
  SELECT 1 AS pass, s.priority, s.part FROM share s WHERE s.part > 0
  UNION ALL SELECT 2, s.priority, _most FROM share s WHERE (SELECT count(*) FROM share) > 1 ORDER BY 1, 2
LOOP
  CONTINUE WHEN cardinality(chosen) >= _most;
  chosen := chosen || $s.pick(open, c.priority, least(c.part, _most - cardinality(chosen))::int, _after, chosen);
END LOOP;
IF NOT (SELECT s.restricted FROM $s.setting s) THEN
  RETURN QUERY SELECT * FROM $s.lease(_worker, chosen, NULL);
  RETURN;
END IF;
SELECT array_agg(a._id), array_agg(a._counted) INTO found, marks FROM $s.admit(chosen, true) a;
RETURN QUERY SELECT * FROM $s.lease(_worker, found, marks);`,
}

export const CLAIM: readonly SqlFunction[] = [checkWorker, lease, admit, claim, pick, take]

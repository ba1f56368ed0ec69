import { BY_KEY, CALLERS, OPERATORS, type SqlFunction } from './define.ts'
import { ANNOUNCE, noteActorEvents, readyGroups } from './fragments.ts'
import { eventOf, mayTake, mayTakeById, state } from './states.ts'

/** Which jobs a filter means: JSON with any of ids, queue, tenant, name, tag, error (a part of it) and before (an id). */
const FILTER = `(_filter ->> 'queue' IS NULL OR j.queue = _filter ->> 'queue') AND (_filter ->> 'tenant' IS NULL OR j.tenant = _filter ->> 'tenant')
  AND (_filter ->> 'name' IS NULL OR j.name = _filter ->> 'name') AND (_filter ->> 'tag' IS NULL OR j.tags @> ARRAY[_filter ->> 'tag'])
  AND (_filter ->> 'error' IS NULL OR strpos(j.error, _filter ->> 'error') > 0)
  AND (_filter ->> 'ids' IS NULL OR j.id = ANY (ARRAY(SELECT json_array_elements_text(_filter -> 'ids')::bigint)))
  AND (bound IS NULL OR j.tenant = bound)`

/** Returns how many of the jobs it cancelled: not those that ended before, and not another tenant's. */
const cancel: SqlFunction = {
  name: 'cancel',
  args: '_ids bigint[]',
  returns: 'json',
  access: CALLERS,
  settings: BY_KEY,
  declare: 'bound text := $s.caller_tenant(); begun timestamptz := clock_timestamp(); o record; rest json;',
  body: `WITH old AS MATERIALIZED (
  SELECT j.id, j.state FROM unnest(_ids) AS c (id) JOIN $s.job j ON j.id = c.id
  WHERE ${mayTakeById('cancelled', 'j.state')} AND (bound IS NULL OR j.tenant = bound) ORDER BY j.id FOR UPDATE OF j),
moved AS (
  UPDATE $s.job j SET state = ${state('cancelled')}, seq = j.seq + 1, changed_at = begun FROM old x WHERE j.id = x.id
  RETURNING j.id, j.epoch, j.seq, j.changed_at, x.state AS was),
noted AS (${noteActorEvents('moved', eventOf('cancelled', 'm.was'))})
SELECT array_agg(m.id) AS ids, array_agg(m.id) FILTER (WHERE m.was = ${state('leased')}) AS running INTO o FROM moved m;
rest := $s.settle(o.running, o.ids);
RETURN json_build_object('ids', to_json(o.ids::text[]), 'freed', rest -> 'freed', 'ready', rest -> 'ready');`,
}

/** Makes dead jobs ready again with all their attempts, up to `_most` at a time. A batch they belonged to is not opened again. */
const redrive: SqlFunction = {
  name: 'redrive',
  args: '_filter json, _most int',
  returns: 'json',
  access: OPERATORS,
  declare: 'bound text; begun timestamptz := clock_timestamp(); ready_ids bigint[]; groups json;',
  body: `WITH old AS MATERIALIZED (
  SELECT j.id FROM $s.job j WHERE ${mayTake('redriven', 'j.state')} AND ${FILTER} ORDER BY j.id LIMIT _most FOR UPDATE OF j SKIP LOCKED),
moved AS (
  UPDATE $s.job j SET state = ${state('ready')}, seq = j.seq + 1, changed_at = begun, attempt = 0, crashes = 0, backoff = 0, batch_id = NULL
  FROM old x WHERE j.id = x.id AND ${mayTakeById('redriven', 'j.state')}
  RETURNING j.id, j.epoch, j.seq, j.changed_at, j.queue, j.priority, j.tenant),
noted AS (${noteActorEvents('moved', eventOf('redriven'))})
SELECT array_agg(m.id), ${readyGroups('moved')} INTO ready_ids, groups FROM moved m;
${ANNOUNCE}
RETURN json_build_object('count', coalesce(cardinality(ready_ids), 0), 'ready', groups, 'xid', pg_current_xact_id()::text);`,
}

const restrict: SqlFunction = {
  name: 'restrict',
  returns: 'void',
  body: `UPDATE $s.setting SET restricted = EXISTS (SELECT FROM $s.queue q WHERE q.paused OR q.concurrency IS NOT NULL OR q.per_tenant IS NOT NULL)
  OR EXISTS (SELECT FROM $s.quota a WHERE a.paused OR a.concurrency IS NOT NULL OR a.rate IS NOT NULL);`,
}

/** Makes a queue or changes what the JSON names; null takes a limit away. */
const setQueue: SqlFunction = {
  name: 'set_queue',
  args: '_name text, _values json',
  returns: 'void',
  access: OPERATORS,
  body: `INSERT INTO $s.queue (name) VALUES (_name) ON CONFLICT DO NOTHING;
UPDATE $s.queue q SET (priority, concurrency, per_tenant, timeout_ms, attempts, backoff_ms, backoff_limit_ms, paused) =
  (SELECT v.priority, v.concurrency, v.per_tenant, v.timeout_ms, v.attempts, v.backoff_ms, v.backoff_limit_ms, v.paused
    FROM json_populate_record(q, _values) v) WHERE q.name = _name;
PERFORM $s.restrict();`,
}

/** Sets a tenant's share and limits in a queue, or with queue '' in each one that has no own entry. */
const setQuota: SqlFunction = {
  name: 'set_quota',
  args: '_queue text, _tenant text, _values json',
  returns: 'void',
  access: OPERATORS,
  body: `IF _queue <> '' AND NOT EXISTS (SELECT FROM $s.queue q WHERE q.name = _queue) THEN
  RAISE EXCEPTION USING ERRCODE = 'TQ003', MESSAGE = format('set a quota: queue %L does not exist', _queue);
END IF;
INSERT INTO $s.quota (queue, tenant) VALUES (_queue, _tenant) ON CONFLICT DO NOTHING;
UPDATE $s.quota a SET (weight, concurrency, rate, burst, paused) = (SELECT v.weight, v.concurrency, v.rate, v.burst, v.paused
  FROM json_populate_record(a, _values) v) WHERE a.queue = _queue AND a.tenant = _tenant;
PERFORM $s.restrict();`,
}

/** All that claims go by, for the configuration in Redis and the retries of workers. */
const configuration: SqlFunction = {
  name: 'configuration',
  returns: 'json',
  access: ['worker', 'operator'],
  body: `RETURN json_build_object('queues', (SELECT json_agg(q) FROM $s.queue q), 'quotas', (SELECT json_agg(a) FROM $s.quota a),
  'payloadLimit', (SELECT s.payload_limit FROM $s.setting s));`,
}

const NAMES = `j.id::text, j.queue, j.tenant, j.name, j.state, j.priority, j.attempt, j.max_attempts, j.crashes, j.epoch, j.seq, j.run_at,
  j.changed_at, j.batch_id::text, j.dedup_key, j.tags, j.payload, j.progress, j.result, j.error`

/** Jobs by a filter, newest first, with `state` beside what redrive knows; a tenant's login sees its own. */
const find: SqlFunction = {
  name: 'find',
  args: '_filter json, _most int',
  returns: `TABLE (id text, queue text, tenant text, name text, state smallint, priority smallint, attempt smallint, max_attempts smallint,
  crashes smallint, epoch int, seq int, run_at timestamptz, changed_at timestamptz, batch_id text, dedup_key text, tags text[],
  payload json, progress json, result json, error text)`,
  access: CALLERS,
  declare: 'bound text := $s.caller_tenant();',
  body: `RETURN QUERY SELECT ${NAMES} FROM $s.job j WHERE (_filter ->> 'state' IS NULL OR j.state = (_filter ->> 'state')::int)
  AND (_filter ->> 'before' IS NULL OR j.id < (_filter ->> 'before')::bigint) AND ${FILTER} ORDER BY j.id DESC LIMIT least(_most, 1000);`,
}

/** What happened to a job, in order. */
const events: SqlFunction = {
  name: 'events',
  args: '_id bigint',
  returns: `TABLE (at timestamptz, seq int, epoch int, worker int, kind smallint, "from" smallint, "to" smallint, actor text, detail text)`,
  access: CALLERS,
  declare: 'bound text := $s.caller_tenant();',
  body: `IF bound IS NOT NULL AND NOT EXISTS (SELECT FROM $s.job j WHERE j.id = _id AND j.tenant = bound) THEN RETURN; END IF;
RETURN QUERY SELECT e.at, e.seq, e.epoch, e.worker_id, e.kind, e."from", e."to", e.actor, e.detail FROM $s.event e
  WHERE e.job_id = _id ORDER BY e.at, e.seq;`,
}

export const OPERATE: readonly SqlFunction[] = [
  cancel,
  redrive,
  restrict,
  setQueue,
  setQuota,
  configuration,
  find,
  events,
]

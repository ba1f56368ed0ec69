import { CALLERS, PLAN_ONCE, type SqlFunction } from './define.ts'
import { eventOf, state } from './states.ts'

/** The longest time that a job may be put off: ten years. */
export const MAX_DELAY_MS = 315_360_000_000

const refuse: SqlFunction = {
  name: 'refuse',
  args: '_state text, _message text',
  returns: 'text',
  body: 'RAISE EXCEPTION USING ERRCODE = _state, MESSAGE = _message;',
}

/** The tenant that the login speaks for; null for those who may name any. */
const callerTenant: SqlFunction = {
  name: 'caller_tenant',
  returns: 'text',
  declare: 'own record;',
  body: `SELECT b.tenant INTO own FROM $s.binding b WHERE b.login = session_user AND b.tenant IS NOT NULL;
IF FOUND THEN RETURN own.tenant; END IF;
IF pg_has_role(session_user, current_user, 'MEMBER') OR EXISTS (SELECT FROM $s.binding b JOIN pg_roles r ON r.rolname = b.login
  WHERE b.tenant IS NULL AND pg_has_role(session_user, r.oid, 'MEMBER')) THEN RETURN NULL; END IF;
RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('the login %s is bound to no tenant of this queue', session_user);`,
}

const INPUT = `SELECT base | (nextval($oid(job_seq)) & 1048575) AS id, i.ordinality AS ord, i.key, i.tags,
    CASE WHEN coalesce(i.name, '') = '' OR length(i.name) > 200
      THEN $s.refuse('TQ001', format('job %s of the call: name must have 1 to 200 characters', i.ordinality)) ELSE i.name END AS name,
    coalesce(q.name, $s.refuse('TQ003', format('job %s of the call: queue %L does not exist', i.ordinality, i.queue))) AS queue,
    CASE WHEN i.priority NOT BETWEEN 0 AND 2
      THEN $s.refuse('TQ001', format('job %s of the call: priority must be 0, 1 or 2', i.ordinality))::int
      ELSE coalesce(i.priority, q.priority) END AS priority,
    CASE WHEN i.attempts NOT BETWEEN 1 AND 10000
      THEN $s.refuse('TQ001', format('job %s of the call: attempts must be 1 to 10000', i.ordinality))::int
      ELSE coalesce(i.attempts, q.attempts) END AS attempts,
    CASE WHEN bound IS NULL THEN coalesce(i.tenant, 'default') WHEN i.tenant IS NULL OR i.tenant = bound THEN bound
      ELSE $s.refuse('42501', format('job %s of the call: the login may not enqueue for another tenant', i.ordinality)) END AS tenant,
    CASE WHEN octet_length(i.payload::text) > most
      THEN $s.refuse('TQ002', format('job %s of the call: its payload has %s bytes, and the queue takes %s',
        i.ordinality, octet_length(i.payload::text), most))::json
      ELSE coalesce(i.payload, 'null') END AS payload,
    CASE WHEN i.delay NOT BETWEEN 0 AND ${MAX_DELAY_MS} OR i.keep NOT BETWEEN 1 AND ${MAX_DELAY_MS}
      THEN $s.refuse('TQ001', format('job %s of the call: a delay must be 0 or more, and at most ten years', i.ordinality))::timestamptz
      ELSE greatest(begun, coalesce(i.at, begun + make_interval(secs => i.delay / 1000.0))) END AS run_at,
    coalesce(begun + make_interval(secs => i.keep / 1000.0), 'infinity') AS until
  FROM ROWS FROM (json_to_recordset(_jobs) AS (name text, queue text, tenant text, payload json, priority int, delay bigint,
    at timestamptz, attempts int, key text, keep bigint, tags text[])) WITH ORDINALITY AS i
  LEFT JOIN $s.queue q ON q.name = coalesce(i.queue, 'default')`

/** Makes jobs of a JSON array. One statement, so that jobs, keys and events are there together or not at all. */
const put: SqlFunction = {
  name: 'put',
  args: '_jobs json, bound text, _batch bigint',
  returns: 'json',
  settings: PLAN_ONCE,
  declare: `begun timestamptz := clock_timestamp(); base bigint := floor(extract(epoch FROM begun) * 1000)::bigint << 20;
  most int; hints boolean; o record; twins json;`,
  body: `SELECT s.payload_limit, s.fast INTO STRICT most, hints FROM $s.setting s;
WITH input AS MATERIALIZED (${INPUT}),
keyed AS (
  INSERT INTO $s.dedup AS d (queue, tenant, key, job_id, until)
  SELECT DISTINCT ON (i.queue, i.tenant, i.key) i.queue, i.tenant, i.key, i.id, i.until FROM input i WHERE i.key IS NOT NULL
  ORDER BY i.queue, i.tenant, i.key, i.ord
  ON CONFLICT (queue, tenant, key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until WHERE d.until <= begun
  RETURNING d.job_id),
made AS (
  INSERT INTO $s.job (id, run_at, changed_at, batch_id, state, priority, max_attempts, queue, tenant, name, dedup_key, tags, payload)
  SELECT i.id, i.run_at, begun, _batch, CASE WHEN i.run_at > begun THEN ${state('scheduled')} ELSE ${state('ready')} END, i.priority,
    i.attempts, i.queue, i.tenant, i.name, i.key, i.tags, i.payload
  FROM input i WHERE i.key IS NULL OR i.id IN (SELECT k.job_id FROM keyed k)
  RETURNING id, state, priority, queue, tenant),
noted AS (
  INSERT INTO $s.event (at, job_id, seq, epoch, kind, "to", actor)
  SELECT begun, m.id, 1, 0, CASE m.state WHEN ${state('ready')} THEN ${eventCode('enqueued')} ELSE ${eventCode('delayed')} END, m.state,
    session_user FROM made m)
SELECT (SELECT string_agg(i.id::text, ' ' ORDER BY i.ord) FROM input i) AS ids, (SELECT count(*) FROM input) AS asked,
  count(*) AS kept, min(m.id) AS low, max(m.id) AS high, (array_agg(m.id))[1:1] AS one,
  CASE WHEN count(*) < (SELECT count(*) FROM input) THEN (SELECT json_agg(json_build_array(i.ord, i.queue, i.tenant, i.key))
    FROM input i WHERE i.key IS NOT NULL AND NOT EXISTS (SELECT FROM made x WHERE x.id = i.id)) END AS losers,
  CASE WHEN hints THEN (SELECT json_agg(json_build_array(g.queue, g.priority, g.tenant, g.ids)) FROM (
    SELECT r.queue, r.priority, r.tenant, string_agg(r.id::text, ' ') AS ids FROM made r WHERE r.state = ${state('ready')}
    GROUP BY r.queue, r.priority, r.tenant) g) END AS ready
INTO o FROM made m;
IF o.losers IS NOT NULL THEN
  SELECT json_agg(json_build_array((l.value ->> 0)::int, d.job_id::text)) INTO twins FROM json_array_elements(o.losers) l
  JOIN $s.dedup d ON d.queue = l.value ->> 1 AND d.tenant = l.value ->> 2 AND d.key = l.value ->> 3;
END IF;
IF o.ready IS NOT NULL THEN INSERT INTO $s.announcement (low, high) VALUES (o.low, o.high); END IF;
RETURN json_build_object('ids', coalesce(o.ids, ''), 'kept', o.kept, 'twins', twins, 'ready', o.ready,
  'xid', CASE WHEN o.ready IS NOT NULL THEN pg_current_xact_id()::text END, 'batch', _batch::text);`,
}

function eventCode(edge: 'enqueued' | 'delayed'): string {
  return eventOf(edge).split(',')[0] ?? ''
}

/** `_callback` makes a batch of the jobs: the job that is enqueued when all of them have ended. */
const enqueue: SqlFunction = {
  name: 'enqueue',
  args: '_jobs json, _callback json DEFAULT NULL',
  returns: 'json',
  access: CALLERS,
  declare: 'bound text := $s.caller_tenant(); fresh bigint; made json;',
  body: `IF json_typeof(_jobs) IS DISTINCT FROM 'array' THEN
  RAISE EXCEPTION USING ERRCODE = 'TQ001', MESSAGE = 'jobs must be a JSON array';
END IF;
IF _callback IS NULL THEN RETURN $s.put(_jobs, bound, NULL); END IF;
INSERT INTO $s.batch (tenant, callback) VALUES (coalesce(bound, _callback ->> 'tenant', 'default'), _callback) RETURNING id INTO fresh;
made := $s.put(_jobs, bound, fresh);
UPDATE $s.batch SET total = (made ->> 'kept')::int, pending = (made ->> 'kept')::int WHERE id = fresh;
RETURN made;`,
}

export const ENQUEUE: readonly SqlFunction[] = [refuse, callerTenant, put, enqueue]

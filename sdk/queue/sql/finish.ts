import { BY_KEY, type SqlFunction, WORKERS } from './define.ts'
import { ANNOUNCE, noteEvents, readyGroups } from './fragments.ts'
import { eventOf, FENCED_CODE, mayTakeById, state, type TransitionName } from './states.ts'

/** After so many crashes of a worker that was running it, a job is taken for the cause. */
export const POISON_AFTER = 3

/** The most characters of an error that are kept. */
const ERROR_LENGTH = 8000

/**
 * What jobs leave behind: counted places, and where they ended their keys and their part of a batch. Returns the places
 * that became free, `[[queue, tenant, n], …]`, and what a batch's callback made ready.
 */
const settle: SqlFunction = {
  name: 'settle',
  args: '_left bigint[], _ended bigint[]',
  returns: 'json',
  settings: BY_KEY,
  declare: `freed json; b record; made json; ready json := '[]';`,
  body: `PERFORM FROM $s.usage u WHERE (u.queue, u.tenant) IN (SELECT j.queue, t.tenant FROM unnest(_left) AS c (id)
  JOIN $s.job j ON j.id = c.id AND j.counted > 0, LATERAL (VALUES (j.tenant), ('')) t (tenant)) ORDER BY u.queue, u.tenant FOR UPDATE;
WITH gone AS (SELECT j.queue, j.tenant, j.counted FROM unnest(_left) AS c (id) JOIN $s.job j ON j.id = c.id AND j.counted > 0),
less AS (SELECT g.queue, g.tenant, count(*) AS n FROM gone g WHERE g.counted & 1 = 1 GROUP BY 1, 2
  UNION ALL SELECT g.queue, '', count(*) FROM gone g WHERE g.counted & 2 = 2 GROUP BY 1),
written AS (UPDATE $s.usage u SET running = u.running - l.n FROM less l WHERE u.queue = l.queue AND u.tenant = l.tenant)
SELECT json_agg(json_build_array(l.queue, l.tenant, l.n)) INTO freed FROM less l;
DELETE FROM $s.dedup d USING unnest(_ended) AS c (id), $s.job j WHERE j.id = c.id AND j.dedup_key IS NOT NULL
  AND d.queue = j.queue AND d.tenant = j.tenant AND d.key = j.dedup_key AND d.job_id = j.id AND d.until = 'infinity';
FOR b IN
  WITH ended AS (SELECT j.batch_id, count(*) AS n, count(*) FILTER (WHERE j.state <> ${state('succeeded')}) AS bad
    FROM unnest(_ended) AS c (id) JOIN $s.job j ON j.id = c.id AND j.batch_id IS NOT NULL GROUP BY 1 ORDER BY 1)
  UPDATE $s.batch t SET pending = t.pending - e.n, unsuccessful = t.unsuccessful + e.bad FROM ended e
  WHERE t.id = e.batch_id RETURNING t.id, t.tenant, t.pending, t.unsuccessful, t.callback
LOOP
  CONTINUE WHEN b.pending > 0 OR b.callback IS NULL;
  made := $s.put(json_build_array(b.callback), b.tenant, NULL);
  SELECT json_agg(x.value) INTO ready FROM (SELECT value FROM json_array_elements(ready)
    UNION ALL SELECT value FROM json_array_elements(coalesce(nullif(made ->> 'ready', ''), '[]')::json)) x;
END LOOP;
RETURN json_build_object('freed', freed, 'ready', ready);`,
}

/** The ids that did not move, with an event for each job that exists: its worker came too late. */
const fenced: SqlFunction = {
  name: 'fenced',
  args: '_worker int, _ids bigint[], _epochs int[], _moved bigint[]',
  returns: 'json',
  settings: BY_KEY,
  declare: 'late json;',
  body: `INSERT INTO $s.event (at, job_id, epoch, worker_id, kind)
  SELECT clock_timestamp(), j.id, c.epoch, _worker, ${FENCED_CODE} FROM unnest(_ids, _epochs) AS c (id, epoch) JOIN $s.job j ON j.id = c.id
  WHERE c.id <> ALL (coalesce(_moved, '{}'));
SELECT json_agg(c.id::text) INTO late FROM unnest(_ids) AS c (id) WHERE c.id <> ALL (coalesce(_moved, '{}'));
RETURN late;`,
}

const HELD = `j.id = c.id AND j.epoch = c.epoch AND j.worker_id = _worker`
const FLAGGED = 'bool_or(m.counted > 0 OR m.batch_id IS NOT NULL OR m.dedup_key IS NOT NULL)'
const RETURNED = `j.id, j.epoch, j.seq, j.worker_id, j.changed_at, j.counted, j.batch_id, j.dedup_key, j.queue, j.tenant, j.priority,
    j.state`

/** Null where there is nothing to tell: all were accepted, and nothing else came of it. */
const complete: SqlFunction = {
  name: 'complete',
  args: '_worker int, _ids bigint[], _epochs int[], _results text[] DEFAULT NULL',
  returns: 'json',
  access: WORKERS,
  settings: BY_KEY,
  declare: 'begun timestamptz := clock_timestamp(); o record; late json; rest json;',
  body: `IF _results IS NOT NULL AND EXISTS (SELECT FROM unnest(_results) r, $s.setting s WHERE octet_length(r) > s.payload_limit) THEN
  RAISE EXCEPTION USING ERRCODE = 'TQ002', MESSAGE = 'a result is larger than the queue takes';
END IF;
WITH moved AS (
  UPDATE $s.job j SET state = ${state('succeeded')}, seq = j.seq + 1, changed_at = begun, error = NULL, result = c.result::json
  FROM unnest(_ids, _epochs, _results) AS c (id, epoch, result) WHERE ${HELD} AND ${mayTakeById('completed', 'j.state')}
  RETURNING ${RETURNED}),
noted AS (${noteEvents('moved', eventOf('completed'))})
SELECT count(*) AS n, ${FLAGGED} AS flagged, CASE WHEN count(*) < cardinality(_ids) OR ${FLAGGED} THEN array_agg(m.id) END AS ids
INTO o FROM moved m;
IF o.n = cardinality(_ids) AND NOT o.flagged THEN RETURN NULL; END IF;
IF o.n < cardinality(_ids) THEN late := $s.fenced(_worker, _ids, _epochs, o.ids); END IF;
IF o.flagged THEN rest := $s.settle(o.ids, o.ids); END IF;
RETURN json_build_object('fenced', late, 'freed', rest -> 'freed', 'ready', rest -> 'ready');`,
}

/**
 * Gives back failed jobs, as a JSON array of \`{id, epoch, delay, error}\`: delay in milliseconds, null where it must not be tried
 * again. Those without attempts left are dead.
 */
const fail: SqlFunction = {
  name: 'fail',
  args: '_worker int, _failures json',
  returns: 'json',
  access: WORKERS,
  settings: BY_KEY,
  declare: 'begun timestamptz := clock_timestamp(); o record; late json; rest json;',
  body: `WITH input AS MATERIALIZED (SELECT * FROM json_to_recordset(_failures) AS (id bigint, epoch int, delay bigint, error text)),
moved AS (
  UPDATE $s.job j SET attempt = j.attempt + 1, seq = j.seq + 1, changed_at = begun, crashes = 0, error = left(c.error, ${ERROR_LENGTH}),
    state = CASE WHEN c.delay IS NULL OR j.attempt + 1 >= j.max_attempts THEN ${state('dead')} ELSE ${state('scheduled')} END,
    backoff = coalesce(c.delay, 0), run_at = begun + make_interval(secs => coalesce(c.delay, 0) / 1000.0)
  FROM input c WHERE ${HELD} AND ${mayTakeById('retried', 'j.state')}
  RETURNING ${RETURNED}, j.error, j.backoff),
noted AS (${noteEvents(
    'moved',
    `CASE m.state WHEN ${state('dead')} THEN ${eventOf('failed').split(',')[0]} ELSE ${eventOf('retried').split(',')[0]} END, ${state('leased')}, m.state`,
    'left(m.error, 500)',
  )})
SELECT count(*) AS n, ${FLAGGED} AS flagged, array_agg(m.id) AS ids,
  array_agg(m.id) FILTER (WHERE m.state = ${state('dead')}) AS dead,
  (SELECT array_agg(c.id) FROM input c) AS asked, (SELECT array_agg(c.epoch) FROM input c) AS epochs,
  count(*) FILTER (WHERE m.state = ${state('dead')}) AS died
INTO o FROM moved m;
IF o.n < coalesce(cardinality(o.asked), 0) THEN late := $s.fenced(_worker, o.asked, o.epochs, o.ids); END IF;
IF o.flagged THEN rest := $s.settle(o.ids, o.dead); END IF;
RETURN json_build_object('fenced', late, 'freed', rest -> 'freed', 'ready', rest -> 'ready', 'died', o.died);`,
}

/** Hands claimed jobs back untried: they are ready at once, with their attempts as they were. */
const release: SqlFunction = {
  name: 'release',
  args: '_worker int, _ids bigint[], _epochs int[]',
  returns: 'json',
  access: WORKERS,
  settings: BY_KEY,
  declare: 'begun timestamptz := clock_timestamp(); ready_ids bigint[]; groups json; flagged boolean; rest json;',
  body: `WITH moved AS (
  UPDATE $s.job j SET state = ${state('ready')}, seq = j.seq + 1, changed_at = begun, crashes = least(j.crashes, 1)
  FROM unnest(_ids, _epochs) AS c (id, epoch) WHERE ${HELD} AND ${mayTakeById('released', 'j.state')}
  RETURNING ${RETURNED}),
noted AS (${noteEvents('moved', eventOf('released'))})
SELECT array_agg(m.id), ${readyGroups('moved')}, bool_or(m.counted > 0) INTO ready_ids, groups, flagged FROM moved m;
IF flagged THEN rest := $s.settle(ready_ids, NULL); END IF;
${ANNOUNCE}
RETURN json_build_object('ready', groups, 'freed', rest -> 'freed', 'xid', pg_current_xact_id()::text);`,
}

/** Before a job that was lost with a worker runs again: whether it still may. Only such jobs cost this write. */
const begin: SqlFunction = {
  name: 'begin_suspect',
  args: '_worker int, _id bigint, _epoch int',
  returns: 'boolean',
  access: WORKERS,
  settings: BY_KEY,
  body: `UPDATE $s.job j SET crashes = j.crashes + 1 WHERE j.id = _id AND j.epoch = _epoch AND j.worker_id = _worker AND ${mayTakeById('lost', 'j.state')};
RETURN FOUND;`,
}

/** Of the jobs that a worker believes to run, those that are not its own any more. */
const strays: SqlFunction = {
  name: 'strays',
  args: '_worker int, _ids bigint[], _epochs int[]',
  returns: 'SETOF bigint',
  access: WORKERS,
  settings: BY_KEY,
  body: `RETURN QUERY SELECT c.id FROM unnest(_ids, _epochs) AS c (id, epoch) WHERE NOT EXISTS (
  SELECT FROM $s.job j WHERE ${HELD} AND ${mayTakeById('lost', 'j.state')});`,
}

const progress: SqlFunction = {
  name: 'progress',
  args: '_worker int, _id bigint, _epoch int, _value json',
  returns: 'boolean',
  access: WORKERS,
  settings: BY_KEY,
  body: `UPDATE $s.job j SET progress = _value WHERE j.id = _id AND j.epoch = _epoch AND j.worker_id = _worker AND ${mayTakeById('lost', 'j.state')}
  AND octet_length(_value::text) <= (SELECT s.payload_limit FROM $s.setting s);
RETURN FOUND;`,
}

/** The number of an edge's event, where one statement writes two kinds. */
function codeOf(edge: TransitionName): string {
  return eventOf(edge).split(',')[0] ?? ''
}

/** Takes jobs from workers whose lease ran out, and those over their deadline. A job that crashed its worker too often is dead. */
const reap: SqlFunction = {
  name: 'reap',
  args: '_most int',
  returns: 'json',
  access: WORKERS,
  settings: { ...BY_KEY, enable_bitmapscan: 'on' },
  declare: 'begun timestamptz := clock_timestamp(); o record; rest json; ready_ids bigint[];',
  body: `WITH lost AS MATERIALIZED (
  SELECT j.id FROM $s.job j LEFT JOIN $s.worker w ON w.id = j.worker_id
  WHERE j.state = ${state('leased')} AND (w.id IS NULL OR w.lease_until < begun OR j.deadline < begun)
  LIMIT _most FOR UPDATE OF j SKIP LOCKED),
moved AS (
  UPDATE $s.job j SET seq = j.seq + 1, changed_at = begun, crashes = greatest(j.crashes, 1),
    state = CASE WHEN j.crashes >= ${POISON_AFTER} THEN ${state('dead')} ELSE ${state('ready')} END,
    error = CASE WHEN j.crashes >= ${POISON_AFTER} THEN format('its worker crashed or hung %s times while it ran', j.crashes) ELSE j.error END
  FROM lost l WHERE j.id = l.id AND ${mayTakeById('lost', 'j.state')}
  RETURNING ${RETURNED}, j.error),
noted AS (${noteEvents(
    'moved',
    `CASE m.state WHEN ${state('dead')} THEN ${codeOf('poisoned')} ELSE ${codeOf('lost')} END, ${state('leased')}, m.state`,
  )})
SELECT count(*) AS n, ${FLAGGED} AS flagged, array_agg(m.id) AS ids, array_agg(m.id) FILTER (WHERE m.state = ${state('dead')}) AS dead,
  array_agg(m.id) FILTER (WHERE m.state = ${state('ready')}) AS ready, ${readyGroups('moved', `r.state = ${state('ready')}`)} AS groups
INTO o FROM moved m;
ready_ids := o.ready;
IF o.flagged THEN rest := $s.settle(o.ids, o.dead); END IF;
${ANNOUNCE}
RETURN json_build_object('ready', o.groups, 'freed', rest -> 'freed', 'more', rest -> 'ready', 'count', o.n,
  'poisoned', coalesce(cardinality(o.dead), 0), 'xid', pg_current_xact_id()::text);`,
}

export const FINISH: readonly SqlFunction[] = [settle, fenced, complete, fail, release, begin, strays, progress, reap]

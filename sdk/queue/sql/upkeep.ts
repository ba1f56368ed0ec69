import { BY_KEY, OPERATORS, type SqlFunction, WORKERS } from './define.ts'
import { ANNOUNCE, noteEvents, readyGroups } from './fragments.ts'
import { eventOf, mayTakeById, state } from './states.ts'

const register: SqlFunction = {
  name: 'register',
  args: '_host text, _lease_ms int',
  returns: 'int',
  access: WORKERS,
  declare: 'made int;',
  body: `INSERT INTO $s.worker (host, lease_until) VALUES (left(_host, 200), clock_timestamp() + make_interval(secs => _lease_ms / 1000.0))
  RETURNING id INTO made;
RETURN made;`,
}

/** False where the lease ran out: its jobs may be another's by now, and the worker has to register again. */
const beat: SqlFunction = {
  name: 'beat',
  args: '_worker int, _lease_ms int',
  returns: 'boolean',
  access: WORKERS,
  body: `UPDATE $s.worker w SET lease_until = clock_timestamp() + make_interval(secs => _lease_ms / 1000.0)
  WHERE w.id = _worker AND w.lease_until > clock_timestamp();
RETURN FOUND;`,
}

/** The end of a worker: what it still holds is lost to it at once. */
const retire: SqlFunction = {
  name: 'retire',
  args: '_worker int',
  returns: 'void',
  access: WORKERS,
  body: `UPDATE $s.worker w SET lease_until = '-infinity' WHERE w.id = _worker;`,
}

/** Whether the worker leads for the next moments: it does what is to be done once and not by every worker. */
const lead: SqlFunction = {
  name: 'lead',
  args: '_worker int, _ms int',
  returns: 'boolean',
  access: WORKERS,
  body: `UPDATE $s.setting s SET leader = _worker, leads_until = clock_timestamp() + make_interval(secs => _ms / 1000.0)
  WHERE s.leads_until < clock_timestamp() OR s.leader = _worker;
RETURN FOUND;`,
}

/** Makes jobs ready whose time has come. `next` says in how many milliseconds the next one is due, or null. */
const promote: SqlFunction = {
  name: 'promote',
  args: '_most int',
  returns: 'json',
  access: WORKERS,
  settings: { ...BY_KEY, enable_bitmapscan: 'on' },
  declare: 'begun timestamptz := clock_timestamp(); ready_ids bigint[]; groups json;',
  body: `WITH due AS MATERIALIZED (
  SELECT j.id FROM $s.job j WHERE j.state = ${state('scheduled')} AND j.run_at <= begun ORDER BY j.run_at LIMIT _most FOR UPDATE SKIP LOCKED),
moved AS (
  UPDATE $s.job j SET state = ${state('ready')}, seq = j.seq + 1, changed_at = begun FROM due d WHERE j.id = d.id AND ${mayTakeById('due', 'j.state')}
  RETURNING j.id, j.epoch, j.seq, NULL::int AS worker_id, j.changed_at, j.queue, j.priority, j.tenant),
noted AS (${noteEvents('moved', eventOf('due'))})
SELECT array_agg(m.id), ${readyGroups('moved')} INTO ready_ids, groups FROM moved m;
${ANNOUNCE}
RETURN json_build_object('count', coalesce(cardinality(ready_ids), 0), 'ready', groups, 'xid', pg_current_xact_id_if_assigned()::text,
  'next', (SELECT ceil(extract(epoch FROM min(j.run_at) - clock_timestamp()) * 1000) FROM (
    SELECT j.run_at FROM $s.job j WHERE j.state = ${state('scheduled')} ORDER BY j.run_at LIMIT 1) j));`,
}

const setCron: SqlFunction = {
  name: 'set_cron',
  args: '_name text, _schedule text, _timezone text, _job json, _next timestamptz',
  returns: 'void',
  access: OPERATORS,
  body: `INSERT INTO $s.cron AS c (name, schedule, timezone, job, tenant, next_at)
  VALUES (_name, _schedule, _timezone, _job, coalesce(_job ->> 'tenant', 'default'), _next)
  ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, timezone = excluded.timezone, job = excluded.job, tenant = excluded.tenant,
    next_at = CASE WHEN (c.schedule, c.timezone) = (excluded.schedule, excluded.timezone) THEN c.next_at ELSE excluded.next_at END;`,
}

const dropCron: SqlFunction = {
  name: 'drop_cron',
  args: '_name text',
  returns: 'boolean',
  access: OPERATORS,
  body: `DELETE FROM $s.cron c WHERE c.name = _name;
RETURN FOUND;`,
}

const dueCrons: SqlFunction = {
  name: 'due_crons',
  returns: 'TABLE (name text, schedule text, timezone text, due timestamptz, now timestamptz)',
  access: WORKERS,
  body: `RETURN QUERY SELECT c.name, c.schedule, c.timezone, c.next_at, clock_timestamp() FROM $s.cron c WHERE c.next_at <= clock_timestamp()
  ORDER BY c.next_at LIMIT 100;`,
}

/** Enqueues the job of a schedule and sets its next time, once per tick whoever tries. Null where another did it. */
const tickCron: SqlFunction = {
  name: 'tick_cron',
  args: '_name text, _due timestamptz, _next timestamptz',
  returns: 'json',
  access: WORKERS,
  declare: 'c record;',
  body: `UPDATE $s.cron x SET next_at = _next, last_at = _due WHERE x.name = _name AND x.next_at = _due RETURNING x.job, x.tenant INTO c;
IF NOT FOUND THEN RETURN NULL; END IF;
RETURN $s.put(json_build_array(c.job), c.tenant, NULL);`,
}

/**
 * What became ready in transactions that ended since it was last asked. Every transaction below the oldest that still runs has
 * ended, and the next answer begins there, so that none is ever left out, however late it commits.
 */
const announced: SqlFunction = {
  name: 'announced',
  args: '_most int',
  returns: 'TABLE (xid text, low text, high text, ids text)',
  access: WORKERS,
  body: `RETURN QUERY SELECT a.xid::text, a.low::text, a.high::text, array_to_string(a.ids, ' ') FROM $s.announcement a
  WHERE a.xid > (SELECT s.relayed FROM $s.setting s) AND a.xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY a.xid LIMIT _most;`,
}

/** Notes how far the relay came, and deletes what is behind it. */
const relayed: SqlFunction = {
  name: 'relayed',
  args: '_xid text',
  returns: 'void',
  access: WORKERS,
  body: `UPDATE $s.setting s SET relayed = greatest(s.relayed, _xid::xid8);
DELETE FROM $s.announcement a WHERE a.xid <= _xid::xid8;`,
}

/** Those of the named jobs that are ready, in groups for Redis. */
const stillReady: SqlFunction = {
  name: 'still_ready',
  args: '_ids bigint[]',
  returns: 'json',
  access: WORKERS,
  settings: BY_KEY,
  body: `RETURN (WITH found AS (SELECT j.id, j.queue, j.priority, j.tenant FROM unnest(_ids) AS c (id) JOIN $s.job j ON j.id = c.id
  WHERE j.state + 0 = ${state('ready')}) SELECT ${readyGroups('found')});`,
}

/** Likewise of a span of ids. */
const readyBetween: SqlFunction = {
  name: 'ready_between',
  args: '_low bigint, _high bigint',
  returns: 'json',
  access: WORKERS,
  settings: BY_KEY,
  body: `RETURN (WITH found AS (SELECT j.id, j.queue, j.priority, j.tenant FROM $s.job j WHERE j.id BETWEEN _low AND _high
  AND j.state + 0 = ${state('ready')}) SELECT ${readyGroups('found')});`,
}

/** A page of all ready jobs behind a place, in the order of the index, with the place where it ended. */
const readyPage: SqlFunction = {
  name: 'ready_page',
  args: '_queue text, _priority int, _tenant text, _id bigint, _most int',
  returns: 'json',
  access: WORKERS,
  settings: { ...BY_KEY, enable_incremental_sort: 'off' },
  body: `RETURN (WITH page AS MATERIALIZED (SELECT j.queue, j.priority, j.tenant, j.id FROM $s.job j WHERE j.state = ${state('ready')}
    AND (j.queue, j.priority, j.tenant, j.id) > (_queue, _priority::smallint, _tenant, _id)
    ORDER BY j.queue, j.priority, j.tenant, j.id LIMIT _most)
  SELECT json_build_object('groups', ${readyGroups('page')}, 'count', (SELECT count(*) FROM page),
    'last', (SELECT json_build_array(p.queue, p.priority, p.tenant, p.id::text) FROM page p
      ORDER BY p.queue DESC, p.priority DESC, p.tenant DESC, p.id DESC LIMIT 1)));`,
}

/** How many jobs run of each flow that is counted; tenant '' is the queue. */
const running: SqlFunction = {
  name: 'running',
  returns: 'json',
  access: WORKERS,
  body: `RETURN (SELECT json_agg(json_build_array(u.queue, u.tenant, u.running)) FROM $s.usage u);`,
}

/** Which filling of Redis is the valid one, and of which server process. */
const generation: SqlFunction = {
  name: 'generation',
  returns: 'TABLE (generation text, server text)',
  access: WORKERS,
  body: 'RETURN QUERY SELECT s.generation, s.server FROM $s.setting s;',
}

const setGeneration: SqlFunction = {
  name: 'set_generation',
  args: '_generation text, _server text',
  returns: 'void',
  access: WORKERS,
  body: 'UPDATE $s.setting s SET generation = _generation, server = _server;',
}

/**
 * Switches on that jobs are announced to Redis. True once every transaction has ended that may have begun before: until then Redis
 * would miss theirs.
 */
const startFast: SqlFunction = {
  name: 'start_fast',
  returns: 'boolean',
  access: WORKERS,
  body: `UPDATE $s.setting s SET fast = true, fast_since = pg_current_xact_id() WHERE NOT s.fast;
RETURN (SELECT s.fast_since < pg_snapshot_xmin(pg_current_snapshot()) FROM $s.setting s);`,
}

export const UPKEEP: readonly SqlFunction[] = [
  register,
  beat,
  retire,
  lead,
  promote,
  setCron,
  dropCron,
  dueCrons,
  tickCron,
  announced,
  relayed,
  stillReady,
  readyBetween,
  readyPage,
  running,
  generation,
  setGeneration,
  startFast,
]

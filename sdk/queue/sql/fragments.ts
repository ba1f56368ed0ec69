/** What a flow (a tenant in a queue) may do: an expression for FROM, over the names of two columns. */
export function allowance(queue: string, tenant: string): string {
  return `LATERAL (SELECT coalesce(own.weight, every.weight, 1) AS weight,
      coalesce(own.concurrency, every.concurrency, q.per_tenant) AS concurrency,
      coalesce(own.rate, every.rate) AS rate, coalesce(own.burst, every.burst, own.rate, every.rate) AS burst,
      q.paused OR coalesce(own.paused, false) OR coalesce(every.paused, false) AS paused, q.concurrency AS queue_concurrency
    FROM $s.queue q
    LEFT JOIN $s.quota own ON own.queue = q.name AND own.tenant = ${tenant}
    LEFT JOIN $s.quota every ON every.queue = '' AND every.tenant = ${tenant}
    WHERE q.name = ${queue})`
}

/** Jobs that became ready, for Redis: \`[[queue, priority, tenant, "id id …"], …]\`, or null. Over rows with these columns. */
export function readyGroups(rows: string, condition = 'true'): string {
  return `(SELECT json_agg(json_build_array(g.queue, g.priority, g.tenant, g.ids)) FROM (
    SELECT r.queue, r.priority, r.tenant, string_agg(r.id::text, ' ') AS ids FROM ${rows} r WHERE ${condition}
    GROUP BY r.queue, r.priority, r.tenant) g)`
}

/** Inserts the event of each moved row in the same statement. `edge` is the text of kind, from and to. */
export function noteEvents(rows: string, edge: string, detail = 'NULL'): string {
  return `INSERT INTO $s.event (at, job_id, seq, epoch, worker_id, kind, "from", "to", actor, detail)
    SELECT m.changed_at, m.id, m.seq, m.epoch, m.worker_id, ${edge}, NULL, ${detail} FROM ${rows} m`
}

/** The same by a person or an application, who is named. */
export function noteActorEvents(rows: string, edge: string, detail = 'NULL'): string {
  return `INSERT INTO $s.event (at, job_id, seq, epoch, worker_id, kind, "from", "to", actor, detail)
    SELECT m.changed_at, m.id, m.seq, m.epoch, NULL, ${edge}, session_user, ${detail} FROM ${rows} m`
}

/** What functions that make jobs ready return: announced to the relay, so that a crash before Redis hears of it loses no time. */
export const ANNOUNCE = `IF cardinality(ready_ids) > 0 AND (SELECT s.fast FROM $s.setting s) THEN
  INSERT INTO $s.announcement (ids) VALUES (ready_ids);
END IF;`

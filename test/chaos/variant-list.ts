import type { Variant } from './variants.ts'

/** Every defect that the harness must notice. A patch whose text is not found stops the operator: it would prove nothing. */
export const VARIANTS: readonly Variant[] = [
  {
    name: 'finalizer-not-set',
    suite: 'deletions',
    patches: [
      {
        file: 'operator/reconcile/object.ts',
        from: 'finalizers: [...finalizers.filter((name) => name !== FINALIZER), FINALIZER],',
        to: 'finalizers: [...finalizers],',
      },
    ],
  },
  {
    name: 'released-while-held',
    suite: 'databases',
    patches: [
      {
        file: 'operator/kinds/tenant/reconcile.ts',
        from: 'if (left.length === 0 || abandoned) {',
        to: 'if (left.length >= 0) {',
      },
    ],
  },
  {
    name: 'released-after-failure',
    suite: 'deletions',
    faults: { kind: 'outage', at: /^postgres DO 'BEGIN (?:IF EXISTS|PERFORM).*<(?:dropped|neighbours)\./ },
    patches: [
      {
        file: 'operator/kinds/tenant/cleanup.ts',
        from: 'if (!place) return true\n',
        to: 'if (!place || problem) return true\n',
      },
    ],
  },
  {
    name: 'retain-ignored',
    suite: 'deletions',
    patches: [
      {
        file: 'operator/reconcile/gate.ts',
        from: 'const wanted = policy.retain ? changes.filter((change) => !dropsData(change)) : changes',
        to: 'const wanted = changes',
      },
    ],
  },
  {
    name: 'approval-ignored',
    suite: 'databases',
    patches: [
      {
        file: 'operator/reconcile/gate.ts',
        from: "if (approved || policy.approval === 'Automatic') return undefined",
        to: 'if (approved || policy.approval) return undefined',
      },
    ],
  },
  {
    name: 'adopts-unasked',
    suite: 'databases',
    patches: [
      {
        file: 'operator/reconcile/gate.ts',
        from: 'return policy.adopt && change.blocked?.adoptable === true',
        to: 'return change.blocked?.adoptable === true',
      },
    ],
  },
  {
    name: 'uid-not-checked',
    suite: 'deletions',
    patches: [
      {
        file: 'engines/redis/diff.ts',
        from: 'if (mark) return mark.uid === owner.uid ? []',
        to: 'if (mark) return mark ? []',
      },
    ],
  },
  {
    name: 'failed-apply-called-done',
    suite: 'tenants',
    faults: { kind: 'read-only', at: /^postgres .*<limits\.eve on platform\.oltp>_app_a/ },
    patches: [
      {
        file: 'operator/reconcile/pipeline.ts',
        from: 'return applied.failed ? { ...outcome, error: applied.failed.error } : outcome',
        to: 'return applied.failed ? { ...still, applied: gated.run } : outcome',
      },
      {
        file: 'operator/reconcile/pipeline.ts',
        from: `return { ...still, remaining: gated.run, error: asAppError(error, \`apply to \${target.shard.id}\`) }`,
        to: 'return { ...still, applied: error ? gated.run : [] }',
      },
    ],
  },
  {
    name: 'no-retry-after-failure',
    suite: 'tenants',
    faults: { kind: 'api-409', at: /^api PATCH tenants\/status/ },
    patches: [
      {
        file: 'operator/controllers.ts',
        from: 'queue.retry(key, { notBeforeMs: known instanceof KubeError ? (known.retryAfterMs ?? 0) : 0 })',
        to: 'queue.forget(key)',
      },
      {
        file: 'operator/kinds/database/resync.ts',
        from: "if (!same) world.enqueue('Tenant', key, 'resync')",
        to: '',
      },
    ],
  },
  {
    name: 'drift-not-looked-for',
    suite: 'drift',
    patches: [
      {
        file: 'operator/kinds/database/resync.ts',
        from: "if (!same) world.enqueue('Tenant', key, 'resync')",
        to: '',
      },
    ],
  },
  {
    name: 'snapshot-never-renewed',
    suite: 'drift',
    patches: [
      {
        file: 'operator/shards/shard.ts',
        from: "const snapshot = await this.#call('observe-all', (signal) => this.#options.session.observe('all', signal))",
        to: `const seen = this as { seen?: unknown }
      const snapshot = (seen.seen ??= await this.#call('observe-all', (signal) => this.#options.session.observe('all', signal)))`,
      },
    ],
  },
  {
    name: 'password-not-kept',
    suite: 'tenants',
    patches: [
      {
        file: 'operator/kinds/tenant/secrets.ts',
        from: 'const password = found?.password ?? newPassword()',
        to: 'const password = newPassword()',
      },
    ],
  },
  {
    name: 'login-before-secret',
    suite: 'tenants',
    faults: { kind: 'crash-after', at: /^postgres .*CREATE ROLE.*_app_a|^redis .*ACL SETUSER/ },
    patches: [
      {
        file: 'operator/kinds/tenant/secrets.ts',
        from: 'if (found || !mayWrite(binding.database)) return',
        to: 'if (found || !tenant.status || !mayWrite(binding.database)) return',
      },
    ],
  },
  {
    name: 'claim-dropped-before-keys',
    suite: 'deletions',
    faults: { kind: 'crash-after', at: /^redis .*HDEL tenantry:registry/ },
    patches: [
      {
        file: 'engines/redis/apply.ts',
        from: "  let cursor = '0'\n",
        to: "  let cursor = '0'\n  await write(work, doing, [['HDEL', REGISTRY, spec.name]])\n",
      },
    ],
  },
  {
    name: 'begun-database-is-strange',
    suite: 'databases',
    faults: { kind: 'crash-after', at: /^postgres .*CREATE DATABASE/ },
    patches: [
      {
        file: 'engines/postgres/observe.ts',
        from: 'const mark = decodeMark(row.comment) ?? markOfOwner(row, owners)',
        to: 'const mark = decodeMark(row.comment)',
      },
    ],
  },
  {
    name: 'expired-watch-resumed',
    suite: 'tenants',
    faults: { kind: 'watch-gone', at: /^api PATCH databases\/status/ },
    patches: [
      {
        file: 'operator/kube/reflector.ts',
        from: "if (end === 'expired') this.#expire('expired')",
        to: '',
      },
    ],
  },
  {
    name: 'garbled-line-skipped',
    suite: 'tenants',
    faults: { kind: 'watch-garbled', at: /^api PATCH databases\/status/ },
    patches: [
      {
        file: 'operator/kube/watch-stream.ts',
        from: 'if (line.length > 0) yield decodeEvent(doing, type, line)',
        to: 'if (line.length > 0 && parse(line)) yield decodeEvent(doing, type, line)',
      },
    ],
  },
  {
    name: 'silent-watch-trusted',
    suite: 'tenants',
    faults: { kind: 'watch-half-open', at: /^api PATCH databases\/status/ },
    patches: [
      {
        file: 'operator/kube/reflector.ts',
        from: 'if (silentMs >= limit) control.abort',
        to: 'if (silentMs >= limit && silentMs < 0) control.abort',
      },
    ],
  },
  {
    name: 'epoch-not-checked',
    suite: 'tenants',
    faults: { kind: 'failover-pause', at: /^postgres .*CREATE ROLE "</ },
    patches: [
      {
        file: 'engines/postgres/fence.ts',
        from: 'IF found_epoch > mine THEN',
        to: 'IF found_epoch > mine AND false THEN',
      },
    ],
  },
  {
    name: 'epoch-not-watched',
    suite: 'tenants',
    faults: { kind: 'failover-pause', at: /^redis ACL SETUSER/ },
    patches: [
      {
        file: 'engines/redis/fence.ts',
        from: "[['UNWATCH'], ['WATCH', key], ['GET', key]]",
        to: "[['UNWATCH'], ['PING'], ['GET', key]]",
      },
      {
        file: 'engines/redis/fence.ts',
        from: "['EXEC'], ['WATCH', key], ['GET', key]]",
        to: "['EXEC'], ['PING'], ['GET', key]]",
      },
    ],
  },
  {
    name: 'status-before-apply',
    suite: 'tenants',
    patches: [
      {
        file: 'operator/kinds/tenant/reconcile.ts',
        from: '  const tenant = await claimPlaces(world, seen, resolved)\n',
        to: `  const tenant = await claimPlaces(world, seen, resolved)
  const { generation: observedGeneration } = tenant.metadata
  const done = { type: 'Ready', status: 'True', reason: 'AllDatabasesReady', message: '', observedGeneration }
  const conditions = [{ ...done, lastTransitionTime: world.clock.now().toISOString() }]
  await writeStatus(world, world.tenants, tenant, { ...tenant.status, observedGeneration, conditions } as never)
`,
      },
    ],
  },
  {
    name: 'password-logged',
    suite: 'tenants',
    patches: [
      {
        file: 'operator/reconcile/report.ts',
        from: 'shard: target.shard.id, changes }',
        to: `shard: \`\${target.shard.id} \${target.shard.connection.password}\`, changes }`,
      },
    ],
  },
  {
    name: 'status-never-still',
    suite: 'tenants',
    patches: [
      {
        file: 'operator/kinds/tenant/status.ts',
        from: `databasesReady: \`\${done}/\${wanted.length}\`,`,
        to: `databasesReady: \`\${done}/\${wanted.length} \${now.getTime() % 1000}\`,`,
      },
    ],
  },
]

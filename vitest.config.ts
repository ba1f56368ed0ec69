import { defineConfig } from 'vitest/config'

// Three kinds of tests, told apart by their file names:
//   x.test.ts       needs no server and starts at once
//   x.real.test.ts  runs against the embedded stack (etcd, kube-apiserver, controllers, Postgres, Redis, ClickHouse), which
//                   is started once a run; import useStack, freshNamespace, freshPostgres and freshSuffix from
//                   test/support/stack.ts, and share the servers with the other files: own names, nothing global
//   x.alone.test.ts likewise, on a stack that no other file uses at the time: for tests that count what servers are asked
// One kind alone: npm run unit -- --project unit
const common = { pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 } as const
// Tests against servers are tried twice; npm test names those that needed it.
const real = { ...common, retry: 1, globalSetup: 'test/support/setup.ts' } as const
const exclude = ['**/node_modules/**', '**/.tenantry/**']

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...exclude, '**/*.{real,alone}.test.ts'],
        },
      },
      {
        test: {
          ...real,
          name: 'real',
          include: ['**/*.real.test.ts'],
          exclude,
        },
      },
      {
        test: {
          ...real,
          name: 'alone',
          include: ['**/*.alone.test.ts'],
          exclude,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})

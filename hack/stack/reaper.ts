import { spawn } from 'node:child_process'

/** Ends the registered processes when this process dies, however it dies. */
export interface Reaper {
  add(pid: number, stopSignal: NodeJS.Signals): void
  remove(pid: number): void
  close(): void
}

/**
 * The list is kept newest first. End of input means that our process is gone (or has closed the reaper): whatever is
 * still listed is then ended one after the other, because the API server lingers when etcd goes first; killed
 * after 3 s. Dead children count as dead though nobody may collect them: not every container has an init.
 */
const SCRIPT = `
alive() {
  if [ -r /proc/self/stat ]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    case "$stat" in *") Z "*) return 1 ;; esac
  else
    kill -0 "$1" 2>/dev/null
  fi
}
list=
while read -r signal pid; do
  if [ "$signal" = gone ]; then
    kept=
    for entry in $list; do [ "\${entry#*:}" = "$pid" ] || kept="$kept $entry"; done
    list=$kept
  else
    list="$signal:$pid $list"
  fi
done
for entry in $list; do
  kill -s "\${entry%%:*}" "\${entry#*:}" 2>/dev/null
  rounds=0
  while [ $rounds -lt 30 ] && alive "\${entry#*:}"; do
    sleep 0.1
    rounds=$((rounds + 1))
  done
  alive "\${entry#*:}" && kill -s KILL "\${entry#*:}" 2>/dev/null
done
`

/** Starts the reaper: a shell in its own session that waits for the end of its input, which no death of ours can prevent. */
export function startReaper(): Reaper {
  const shell = spawn('sh', ['-c', SCRIPT, 'tenantry-reaper'], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  shell.on('error', () => undefined)
  shell.stdin.on('error', () => undefined)
  shell.unref()
  return {
    add: (pid, stopSignal) => void shell.stdin.write(`${stopSignal.replace('SIG', '')} ${pid}\n`),
    remove: (pid) => void shell.stdin.write(`gone ${pid}\n`),
    close: () => void shell.stdin.end(),
  }
}

#!/usr/bin/env bash
# Shows a whole network at work on this machine. Seven storage nodes run as seven processes. A file is stored and paid for,
# two nodes are killed, the file is read back, and the two nodes are restarted and repaired, also from empty disks. Needs
# bash, coreutils and a built walrus; leaves nothing behind. `make demo` builds and runs it.
#
#   FILE=photo.raw scripts/demo.sh     store this file in place of the walrus program itself
#   WALRUS=path/to/walrus              the program to run (default bin/walrus)
set -euo pipefail
cd "$(dirname "$0")/.."

walrus=${WALRUS:-$PWD/bin/walrus}
file=${FILE:-$walrus}
nodes=7
shards=100
killed=(2 5)

step=0
say() { step=$((step + 1)); printf '\n\033[1m%d. %s\033[0m  [%ss]\n' "$step" "$*" "$SECONDS"; }
now() { date +%s%N; }
took() { local ms=$((($(now) - $1) / 1000000)); printf '   took %d.%02d s\n' $((ms / 1000)) $((ms % 1000 / 10)); }

balance() { "$walrus" wallet show | sed -n 's/^ *balance  *//p'; }

[[ -x $walrus ]] || { echo "demo: $walrus is missing: run make build" >&2; exit 1; }
[[ -r $file ]] || { echo "demo: cannot read $file" >&2; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/walrus-demo.XXXXXX")
export WALRUS_CONFIG=$dir/net/client.yaml
declare -a pids

finish() {
  local code=$?
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do [[ -n $pid ]] && kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  if ((code != 0)); then
    printf '\ndemo: FAILED in step %d; the end of each log follows\n' "$step" >&2
    for log in "$dir"/*.log; do
      [[ -e $log ]] && { printf -- '--- %s\n' "${log##*/}" >&2; tail -n 15 "$log" >&2; }
    done
  fi
  rm -rf "$dir"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # start NODE in the background
  : >"$dir/node-$1.out"
  "$walrus" node run --home "$dir/net/node-$1" >"$dir/node-$1.out" 2>>"$dir/node-$1.log" &
  pids[$1]=$!
}

await_ready() { # wait until NODE has printed its ready line
  local deadline=$((SECONDS + 30))
  until grep -q ready "$dir/node-$1.out"; do
    kill -0 "${pids[$1]}" 2>/dev/null || { echo "demo: node-$1 ended" >&2; return 1; }
    ((SECONDS < deadline)) || { echo "demo: node-$1 is not ready after 30 s" >&2; return 1; }
    sleep 0.1
  done
}

say "Make a network of $nodes nodes and $shards shards: keys, genesis, configurations"
"$walrus" devnet init --dir "$dir/net" --nodes $nodes --shards $shards

say "Start the $nodes nodes, each a process of its own"
t=$(now)
for ((i = 0; i < nodes; i++)); do start $i; done
for ((i = 0; i < nodes; i++)); do await_ready $i; done
took "$t"
"$walrus" health
"$walrus" info | sed -nE '/^(epoch|price|fees|capacity|rewards|supply) /p'

size=$(stat -Lc %s "$file")
say "Store a file of $((size >> 20)) MiB: ${file##*/}"
before=$(balance)
t=$(now)
"$walrus" store "$file"
took "$t"
echo "   the wallet had $before, and now has $(balance)"
id=$("$walrus" blob-id "$file")

say "Kill nodes ${killed[*]} without warning (SIGKILL)"
for i in "${killed[@]}"; do
  kill -KILL "${pids[i]}"
  wait "${pids[i]}" 2>/dev/null || true
  pids[i]=
done
if "$walrus" health; then
  echo "demo: walrus health did not notice that two nodes are down" >&2
  exit 1
fi

say "Read the file back from the $((nodes - ${#killed[@]})) nodes that are left, and compare"
t=$(now)
"$walrus" read "$id" -o "$dir/copy"
took "$t"
cmp "$file" "$dir/copy"
echo "   every byte is the same"

say "Start the two again and wait until they have repaired their slivers"
t=$(now)
for i in "${killed[@]}"; do start "$i"; done
for i in "${killed[@]}"; do await_ready "$i"; done
deadline=$((SECONDS + 60))
until "$walrus" health >"$dir/health.log" 2>&1; do
  ((SECONDS < deadline)) || { echo "demo: not all nodes are healthy after 60 s" >&2; exit 1; }
  sleep 0.2
done
took "$t"
cat "$dir/health.log"

say "Kill nodes ${killed[*]}, delete all their data and their ledger, and start them again: they fetch everything from the others"
t=$(now)
for i in "${killed[@]}"; do
  kill -KILL "${pids[i]}"
  wait "${pids[i]}" 2>/dev/null || true
  rm -rf "$dir/net/node-$i/store" "$dir/net/node-$i/ledger" # the keys stay, with the record of their last signature
  start "$i"
done
for i in "${killed[@]}"; do await_ready "$i"; done
deadline=$((SECONDS + 60))
until "$walrus" health >"$dir/health.log" 2>&1; do
  ((SECONDS < deadline)) || { echo "demo: not all nodes have repaired after 60 s" >&2; exit 1; }
  sleep 0.2
done
took "$t"
"$walrus" blob-status "$id"

say "List the wallet's records on the ledger"
"$walrus" list-blobs

printf '\ndemo: done in %s s\n' "$SECONDS"

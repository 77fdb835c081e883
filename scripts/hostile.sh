#!/usr/bin/env bash
# Lets hostile peers loose on seven storage nodes, one attack after the other, and prints what became of the nodes and of an
# honest client beside them. Everything runs on this machine's loopback addresses and ends with the script; it takes some
# five minutes. The exit code is 1 if a row does not hold that should.
#
#   scripts/hostile.sh                                          all rows
#   scripts/hostile.sh -hostile.rows 'slots|junk'               some of them
#   scripts/hostile.sh -hostile.rows crowd -hostile.crowd 5m    1,000 identities do everything at once for five minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x bin/walrus ] || { echo "hostile: bin/walrus is missing: run make build" >&2; exit 1; }
export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}" TMPDIR
TMPDIR=$(scripts/tmpdir.sh)
# Nodes and attackers are in one process group with the test, so that none outlives the script.
setsid go test -count=1 -vet=off -timeout 60m -v ./internal/hostile -run '^TestHostile$' -hostile.full -hostile.walrus "$PWD/bin/walrus" "$@" &
group=$!
trap 'kill -KILL -- -"$group" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
wait "$group"

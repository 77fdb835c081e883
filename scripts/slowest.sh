#!/usr/bin/env bash
# Lists the ten slowest tests, in seconds, of the given packages, or of all.
#   scripts/slowest.sh ./store ./client
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- ./...
{ go test -count=1 -json "$@" || true; } |
	sed -nE 's/.*"Action":"(pass|fail)","Package":"([^"]*)","Test":"([^"/]*)","Elapsed":([0-9.]+).*/\4 \2 \3/p' |
	sort -rn | head -10 | awk '{ printf "%8.1f  %s %s\n", $1, $2, $3 }'

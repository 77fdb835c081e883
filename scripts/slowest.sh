#!/usr/bin/env bash
# Lists the ten slowest tests, in seconds, of the given packages, or of all.
#   scripts/slowest.sh ./store ./client
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}" TMPDIR
TMPDIR=$(scripts/tmpdir.sh)
[ $# -gt 0 ] || set -- ./...
# A test does not count the time of its parts that run side by side: then it is their sum.
{ go test -count=1 -json "$@" || true; } |
	sed -nE 's/.*"Action":"(pass|fail)","Package":"([^"]*)","Test":"([^"]*)","Elapsed":([0-9.]+).*/\4 \2 \3/p' |
	awk '{ n = split($3, part, "/"); test = $2 " " part[1] }
		n == 1 { own[test] = $1 }
		n == 2 { parts[test] += $1 }
		END { for (test in own) printf "%8.1f  %s\n", (own[test] > parts[test] ? own[test] : parts[test]), test }' |
	sort -rn | head -10

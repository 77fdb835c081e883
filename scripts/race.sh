#!/usr/bin/env bash
# Runs go test with the given arguments. The runtime of the race detector itself sometimes crashes with a failed CHECK. If
# that happens and no test has failed, go test runs once more; it does not repeat packages that passed.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -ne 0 ] && grep -q 'ThreadSanitizer: CHECK failed' "$log" && ! grep -qE '^\s*--- FAIL|^panic:|DATA RACE' "$log"; then
	echo "the race detector itself crashed: running the tests once more"
	go test "$@"
	status=$?
fi
exit "$status"

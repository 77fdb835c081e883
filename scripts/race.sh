#!/usr/bin/env bash
# Runs go test with the arguments given. The race detector's own runtime crashes now and then with a failed CHECK, which says
# nothing about a test: then, and if no test has failed, it is run once more. Packages that passed are not repeated.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -ne 0 ] && grep -q 'ThreadSanitizer: CHECK failed' "$log" && ! grep -qE '^\s*--- FAIL|^panic:|DATA RACE' "$log"; then
	echo "the race detector itself crashed: once more"
	go test "$@"
	status=$?
fi
exit "$status"

#!/usr/bin/env bash
# Runs every test once: packages with concurrency of their own under the race detector, the others without it.
#   scripts/test.sh          run all tests
#   scripts/test.sh race     only the packages under the race detector
#   scripts/test.sh list     show how each package is tested, and which tests run plain as well
#
# The race detector makes everything five to ten times slower. Tests that take too long under it shorten or skip
# themselves when testing.Short() says so; exactly those run once more, without it and in full. internal/archtest makes
# sure that "list" can see them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# These have goroutines or locks, but are not worth the race detector's time: commands whose tests mostly start
# processes, a benchmark, tables that are built once, test kits that the tests of others run under it.
plain='^walrus(/cmd/.*|.*/bench|/shards/fft16|/internal/(swarm|ledger)test)?$'

# concurrent lists packages whose code, tests aside, starts goroutines or holds locks.
concurrent() {
	go list -f '{{range .GoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}' ./... | awk -v plain="$plain" '
		$1 ~ plain || $1 in seen || NF < 2 { next }
		{ while ((getline line < $2) > 0)
			if (line ~ /^[\t ]*(go [a-z]|(import )?"(sync|sync\/atomic|golang.org\/x\/sync\/.*)"$)/) { seen[$1]; print $1; break }
		  close($2) }'
}

# virtual lists the packages on stdin whose tests run in virtual time. The timers of a bubble share one context of the
# race detector, which crashes when two processors poll such timers at once (go.dev/issue/78156). So these tests get one
# processor: two packages at a time still keep two busy.
virtual() {
	xargs go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' |
		awk '/testing\/synctest/ { print $1 }'
}

# shortened lists "package test" for tests of the packages on stdin that look at testing.Short().
shortened() {
	xargs go list -f '{{range .TestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}' |
		awk 'NF == 2 { name = ""
			while ((getline line < $2) > 0) {
				if (line ~ /^func (Test|Fuzz)/) { name = line; sub(/^func /, "", name); sub(/\(.*/, "", name) }
				if (line ~ /testing\.Short\(\)/ && name != "") { print $1, name; name = "" }
			}
			close($2) }'
}

# attempt runs go test with the arguments and the flags in FLAGS. Up to three tests that failed are run once more, alone:
# tests with real sockets, disks and clocks can run out of time on a busy machine. Nothing is forgiven to a data race, a
# panic, or a package that failed without a failed test.
attempt() {
	local log failed packages
	log=$(mktemp)
	if go test -vet=off -timeout 25m $FLAGS "$@" 2>&1 | tee "$log"; then
		rm -f "$log"
		return 0
	fi
	failed=$(sed -nE 's/^--- FAIL: ([^ ]+) .*/\1/p' "$log" | sort -u)
	packages=$(sed -nE 's/^FAIL\t([^\t ]+)\t.*/\1/p' "$log" | sort -u)
	if [ -z "$failed" ] || [ "$(wc -l <<<"$failed")" -gt 3 ]; then
		packages=
	else
		echo "test: FAILED, and run once more, alone:" $failed
	fi
	grep -qE '^panic:|DATA RACE|\[(build|setup) failed\]' "$log" && packages=
	rm -f "$log"
	[ -n "$packages" ] && go test -vet=off -timeout 25m -p 1 -count 1 $FLAGS -run "^($(paste -sd'|' <<<"$failed"))" $packages
}

race=$(concurrent) || exit
bubbles=$(virtual <<<"$race") || exit
rest=$(go list ./... | grep -vxF "$race") || exit
again=$(shortened <<<"$race") || exit
[ -n "$race" ] && [ -n "$bubbles" ] && [ -n "$rest" ] && [ -n "$again" ] || { echo "test: no packages found: $0 looked in the wrong place" >&2; exit 1; }

what=${1:-all}
if [ "$what" = list ]; then
	grep -vxF "$bubbles" <<<"$race" | awk '{ print "race ", $1 }'
	awk '{ print "race ", $1, "on one processor" }' <<<"$bubbles"
	awk '{ print "plain", $1 }' <<<"$rest"
	awk '{ print "plain", $1, $2, "too, in full" }' <<<"$again"
	exit
fi
# The race detector wants a C compiler; without one the same tests run plain, and say so.
if ! command -v "$(go env CC)" >/dev/null; then
	echo "no C compiler: testing without the race detector"
	# shellcheck disable=SC2086 # one package a word
	[ "$what" = all ] && exec go test -vet=off ./... || exec go test -vet=off $race
fi
# Test binaries are built where they always are.
export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}" TMPDIR
TMPDIR=$(scripts/tmpdir.sh) || exit
status=0
# shellcheck disable=SC2086 # one package a word
{
	CGO_ENABLED=1 FLAGS='-race -short -cpu 1 -parallel 2' attempt $bubbles || status=1
	CGO_ENABLED=1 FLAGS='-race -short' attempt $(grep -vxF "$bubbles" <<<"$race") || status=1
	[ "$what" = race ] && exit "$status"
	FLAGS='' attempt $rest || status=1
	FLAGS='' attempt -run "^($(cut -d' ' -f2 <<<"$again" | sort -u | paste -sd'|'))\$" $(cut -d' ' -f1 <<<"$again" | sort -u) || status=1
}
exit "$status"

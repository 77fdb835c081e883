#!/usr/bin/env bash
# Run this before each commit: format, vet, the import rules, and the short tests of all packages that changed since main,
# or that import a changed package.
#   scripts/quick.sh [BASE]        BASE is main unless given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=$(git merge-base HEAD "${1:-main}" 2>/dev/null || git rev-parse HEAD)
changed=$( (git diff --name-only "$base"; git ls-files --others --exclude-standard) | sort -u)
files=$(grep '\.go$' <<<"$changed" | grep -v /testdata/ || true)
present=$(for f in $files; do [ -f "$f" ] && echo "$f"; done || true)

if [ -n "$present" ]; then
	unformatted=$(xargs gofmt -l <<<"$present")
	[ -z "$unformatted" ] || { echo "not formatted, run gofmt -w on:"; echo "$unformatted"; exit 1; }
fi
# Other files count for the nearest package above them, such as the one whose testdata they are.
packages=$(go list -f '{{.Dir}} {{.ImportPath}}' ./... | awk -v root="$PWD" -v changed="$changed" '
	BEGIN { n = split(changed, file, "\n") }
	{ dir = substr($1, length(root) + 2); path[dir] = $2 }
	END {
		for (i = 1; i <= n; i++) {
			d = file[i]
			while (sub(/\/[^\/]*$/, "", d)) if (d in path) { print path[d]; break }
			if (file[i] !~ /\// && file[i] ~ /\.go$/) print path[""]
		}
	}' | sort -u)
if [ -z "$packages" ]; then
	echo "nothing changed since $(git rev-parse --short "$base")"
	exit 0
fi
# The changed packages, and all that import one of them, also in tests.
affected=$(go list -f '{{.ImportPath}} {{join .Deps " "}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
	awk -v list="$packages" 'BEGIN { n = split(list, p, "\n"); for (i = 1; i <= n; i++) want[p[i]] }
	{ for (i = 1; i <= NF; i++) if ($i in want) { print $1; next } }')
export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}" TMPDIR
TMPDIR=$(scripts/tmpdir.sh)
# shellcheck disable=SC2086 # one package a word
{
	go vet $affected
	go test ./internal/archtest
	go test -short $affected
}

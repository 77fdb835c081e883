#!/usr/bin/env bash
# Changes the module's path in go.mod, in every import, and in the Go package of every protobuf file. No other module can
# fetch a module named walrus: a hosted copy needs the path of its host.
#   scripts/module-path.sh example.org/you/walrus
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

new=${1:-}
if [[ ! $new =~ ^[A-Za-z0-9][A-Za-z0-9._~-]*\.[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$ ]]; then
	echo "usage: scripts/module-path.sh PATH, such as example.org/you/walrus" >&2
	exit 2
fi
old=$(sed -n 's/^module //p' go.mod)
if [ "$old" = "$new" ]; then
	echo "the module is $new already"
	exit 0
fi
escaped=$(printf '%s' "$old" | sed 's/[.[\*^$/]/\\&/g')

sed -i.before -E "s|^module $escaped\$|module $new|" go.mod && rm go.mod.before
# An import is a line of its own: perhaps a name, then the quoted path, then perhaps a comment.
find . -name '*.go' -not -path './.*' -print0 | while IFS= read -r -d '' file; do
	if grep -qE "\"$escaped(/|\")" "$file"; then
		sed -i.before -E "s#^([[:space:]]*(import[[:space:]]+)?([A-Za-z0-9_.]+[[:space:]]+)?)\"$escaped(/[^\"]*)?\"([[:space:]]*(//.*)?)\$#\1\"$new\4\"\5#" "$file"
		rm "$file.before"
	fi
done
find . -name '*.proto' -not -path './.*' -exec sed -i.before -E "s#^(option go_package = \")$escaped/#\1$new/#" {} \; -exec rm {}.before \;
sed -i.before -E "s#^const ownModule = \"$escaped\"#const ownModule = \"$new\"#" internal/archtest/archtest_test.go && rm internal/archtest/archtest_test.go.before
echo "the module is $new now: run gofmt -w . and make test"

#!/usr/bin/env bash
# Puts homes behind routers of every kind, in network namespaces, and prints which of them get a direct connection to each
# other and whether walrus doctor names each router correctly. It takes some four minutes. As root, it installs nftables,
# iproute2 and miniupnpd from Debian's packages if they are missing. Without namespaces it says so and ends with 0. All it
# makes is in namespaces of its own, which the system removes with its last process.
#
#   scripts/nat.sh                       everything
#   scripts/nat.sh -nat.parts 'pairs'    one part: pairs, doctor, store or monitor
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x bin/walrus ] || { echo "nat: bin/walrus is missing: run make build" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin

skip() {
	echo "nat: skipped: $*"
	exit 0
}

tools() { command -v nft && command -v ip && command -v miniupnpd; } >/dev/null

if ! tools && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nftables iproute2 miniupnpd-nftables >/dev/null || true
fi
tools || skip "nft, ip or miniupnpd is missing: install nftables, iproute2 and miniupnpd-nftables"

spaces=(--net --mount --pid --fork --kill-child=KILL --mount-proc)
[ "$(id -u)" = 0 ] || spaces+=(--user --map-root-user)
unshare "${spaces[@]}" sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add try && ip netns exec try nft list ruleset' >/dev/null 2>&1 ||
	skip "this system does not let $(id -un) make network namespaces with nftables"

export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}" TMPDIR
TMPDIR=$(scripts/tmpdir.sh)
dir=$(mktemp -d "$TMPDIR/walrus-nat.XXXXXX")
lab=
# The first process of the namespaces dies with unshare, and all others with it.
finish() {
	[ -z "$lab" ] || kill -KILL "$lab" 2>/dev/null || true
	[ -z "$lab" ] || wait "$lab" 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
go test -c -vet=off -o "$dir/nat.test" ./internal/natbench
# The test's own folders are in $dir, so that they go even if it is killed.
TMPDIR=$dir WALRUS_NAT_INSIDE=1 unshare "${spaces[@]}" sh -c 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"' sh \
	"$dir/nat.test" -test.v -test.timeout 15m -test.run '^TestRouters$' -nat.walrus "$PWD/bin/walrus" "$@" &
lab=$!
code=0
wait "$lab" || code=$?
lab=
exit "$code"

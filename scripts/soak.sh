#!/usr/bin/env bash
# Fills a small disk again and again, and damages a network of seven processes many times.
#
# 1. SIGKILL at random moments, under a mixed load of payments and stores. No commit may be lost or happen twice, all nodes
#    must agree, no WAL may appear or vanish, and every node must recover by itself.
# 2. SIGKILL in the middle of large uploads, and flipped bits in the files of stopped nodes, their ledger included. Every
#    stored blob must read back unchanged, and every node must repair itself.
# 3. Twenty processes at a time store and pay with one wallet. All must succeed, and the sums must be exact.
# 4. A store on a disk of 4 GiB in memory stores and deletes 10 GiB. It may never refuse while less than 75 % of the disk
#    live, and after it was full, deleting half must bring it back. Needs root, to mount the disk, and 8 GiB of memory;
#    else it is skipped, and says why. Some five minutes; it runs first.
# 5. Nodes with many small slivers are stopped and killed. They must serve soon, and read little of what lies there.
# 6. SIGKILL a hundred times while 200 blobs are being pinned; ten thousand pins; a pinned blob served beside TLS alone;
#    ten thousand announcements, one by one and all at once, in a network of a hundred peers in virtual time.
# 7. A month of rounds of 1,000 monitors that probe 1,000 nodes: its size on the disk, and the time to read it. Ten minutes.
#
#   scripts/soak.sh [ROUNDS]           kills under load, default 1000; a second each
#   WALRUS_SOAK=… scripts/soak.sh      rounds of the others, default 20
#   WALRUS_START=… scripts/soak.sh     slivers of those nodes, default 100000
#   WALRUS_SEED=… scripts/soak.sh      repeat a run; each run prints its seed
set -euo pipefail
cd "$(dirname "$0")/.."
STORE_SPACE_GIB=${STORE_SPACE_GIB:-4} go test -count=1 -run '^TestSpace$' -v -timeout 60m ./store
go test -count=1 -run '^(TestCrash|TestManyPins|TestServeRate)$' -v -timeout 30m ./pin
go test -count=1 -run '^TestMonth$' -v -timeout 60m ./monitor -month.rounds=4320 -month.nodes=1000
WALRUS_ANNOUNCEMENTS=10000 go test -count=1 -run '^TestAnnounceAll$' -v -timeout 60m ./dht
WALRUS_KILLS=${1:-1000} WALRUS_SOAK=${WALRUS_SOAK:-20} WALRUS_START=${WALRUS_START:-100000} \
	exec go test -count=1 -run '^TestSoak' -v -timeout 180m ./cmd/walrus

#!/usr/bin/env bash
# Hurts a network of seven processes many times. First SIGKILL at random moments, under a mixed load of payments and
# stores: nothing that was committed may be lost or happen twice, all nodes must agree, no WAL may come or go, and every
# node must come back by itself. Then SIGKILL in the middle of large uploads, and flipped bits in the files of stopped
# nodes, their ledger included: every blob that was stored must come back as it was, and every node must heal.
# Last, twenty processes at a time store and pay with one wallet: all succeed, and the sums are exact.
#
#   scripts/soak.sh [ROUNDS]           kills under load, default 1000; a second each
#   WALRUS_SOAK=… scripts/soak.sh      rounds of the two others, default 20
#   WALRUS_SEED=… scripts/soak.sh      the same again; each run prints its seed
set -euo pipefail
cd "$(dirname "$0")/.."
WALRUS_KILLS=${1:-1000} WALRUS_SOAK=${WALRUS_SOAK:-20} exec go test -count=1 -run '^TestSoak' -v -timeout 180m ./cmd/walrus

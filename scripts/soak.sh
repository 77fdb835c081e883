#!/usr/bin/env bash
# Hurts a network of seven processes many times: SIGKILL in the middle of uploads, and flipped bits in the files of
# stopped nodes. Every blob that was stored must come back as it was, and every node must heal.
#
#   scripts/soak.sh [ROUNDS]           default 20
#   WALRUS_SEED=… scripts/soak.sh      the same again; each run prints its seed
set -euo pipefail
cd "$(dirname "$0")/.."
WALRUS_SOAK=${1:-20} exec go test -count=1 -run '^TestSoak' -v -timeout 60m ./cmd/walrus

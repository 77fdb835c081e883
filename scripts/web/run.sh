#!/usr/bin/env bash
# Holds a gateway against what others expect of it: two linters and generated contract tests of its API document, clients in
# Python and JavaScript that know nothing of us, and a browser, which uploads, looks, downloads and seeks, with the
# accessibility rules of axe on every page. Installs what it needs: Chromium, ffmpeg and Python's venv from Debian's packages (as root),
# the rest from npm and PyPI into .cache/web. `make web` builds and runs it.
#
#   scripts/web/run.sh [lint|contract|recipes|clients|pinning|browser]...    only these, in this order; default all
#   scripts/web/run.sh screens                               look at every page, wide and narrow, light and dark, with the data of
#                                                            the pages' tests, and make docs/screens anew
#   SCREENSHOTS=folder scripts/web/run.sh browser            keep what the browser saw of a network of this machine
#   PINNING_SPEC=file scripts/web/run.sh pinning             check pins against the schemas in ipfs-pinning-service.yaml 1.0.0 of
#                                                            the specification instead of those in our document
#   WALRUS=path/to/walrus                                    the program to run (default bin/walrus)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD here=$PWD/scripts/web cache=$PWD/.cache/web
walrus=${WALRUS:-$root/bin/walrus}
parts=("$@")
((${#parts[@]})) || parts=(lint contract recipes clients pinning browser)
export SCREENSHOTS=${SCREENSHOTS:+$(realpath -m "$SCREENSHOTS")}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

need_npm() {
  mkdir -p "$cache"
  if ! cmp -s "$here/package-lock.json" "$cache/package-lock.json" || [[ ! -d $cache/node_modules ]]; then
    cp "$here/package.json" "$here/package-lock.json" "$cache/"
    (cd "$cache" && npm ci --silent --no-audit --no-fund)
  fi
}

need_python() {
  [[ -x $cache/venv/bin/python ]] || python3 -m venv "$cache/venv" || {
    apt-get install -y --no-install-recommends python3-venv >/dev/null
    python3 -m venv "$cache/venv"
  }
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

need_chromium() {
  command -v chromium >/dev/null && command -v ffmpeg >/dev/null && return
  apt-get update -qq && apt-get install -y --no-install-recommends chromium ffmpeg >/dev/null
}

# The suite's own dependencies have scripts that download an IPFS node, which it does not need here.
need_suite() {
  [[ -f $cache/pinning/node_modules/@ipfs-shipyard/pinning-service-compliance/package.json ]] && return
  mkdir -p "$cache/pinning"
  echo '{"private": true}' >"$cache/pinning/package.json" # without it, npm installs into the folder above
  (cd "$cache/pinning" && npm install --silent --ignore-scripts --no-audit --no-fund @ipfs-shipyard/pinning-service-compliance@1.8.1)
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/walrus-web.XXXXXX")
net= pinner=
finish() {
  local code=$?
  trap - EXIT INT TERM
  [[ -n $pinner ]] && kill "$pinner" 2>/dev/null && wait "$pinner" 2>/dev/null
  [[ -n $net ]] && kill "$net" 2>/dev/null && wait "$net" 2>/dev/null
  ((code == 0)) || [[ ! -f $dir/net.log ]] || { echo "web: FAILED; the end of the log follows" >&2; tail -n 20 "$dir/net.log" >&2; }
  rm -rf "$dir"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# need_net runs the network, once.
need_net() {
  [[ -z $net ]] || return 0
  [[ -x $walrus ]] || { echo "web: $walrus is missing: run make build" >&2; exit 1; }
  "$walrus" devnet up --dir "$dir/net" --nodes 4 --shards 31 --gateway 127.0.0.1:0 --max-body-size 10240 >"$dir/net.out" 2>"$dir/net.log" &
  net=$!
  for _ in $(seq 300); do
    grep -q ready "$dir/net.out" && break
    kill -0 "$net" || exit 1
    sleep 0.2
  done
  url=$(sed -n 's/.* at \(http:[^ ]*\).*/\1/p' "$dir/net.out")
  [[ -n $url ]] || { echo "web: the devnet told no address" >&2; exit 1; }
  echo "web: the gateway is at $url"
}

lint() {
  need_net
  say "Two linters read the API document"
  need_npm
  curl -fsS "$url/openapi.json" -o "$dir/openapi.json"
  (cd "$cache" && npx redocly lint --config "$here/redocly.yaml" "$dir/openapi.json")
  (cd "$cache" && npx spectral lint --fail-severity error --ruleset "$here/spectral.yaml" "$dir/openapi.json")
}

contract() {
  need_net
  say "Generated requests, each answer held against the document"
  need_python
  # A status or a body that the document does not have, a crash, a wrong content type: all count. The examples name what is
  # stored, so that the first requests of each route are answered with content.
  curl -fsS "$url/openapi.json" | "$cache/venv/bin/python" "$here/examples.py" "$url" >"$dir/examples.json"
  "$cache/venv/bin/schemathesis" run "$dir/examples.json" --url "$url" --max-examples "${EXAMPLES:-25}" --seed 1 --workers 2 \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance \
    --exclude-checks unsupported_method --phases examples,coverage,fuzzing --request-timeout 60 --no-color
}

recipes() {
  need_net
  say "The recipes of the README, as printed"
  # The indented lines of the section, with this gateway's address; -f so that a refusal is a failure.
  sed -n '/^## Over HTTP/,/^## /s/^    //p' README.md | sed "s|^URL=.*|URL=$url|; s/curl -/curl -f/" >"$dir/recipes.sh"
  cp README.md Makefile "$dir/"
  (cd "$dir" && bash -euxo pipefail recipes.sh >recipes.out && cmp README.md copy.md && grep -q "$(head -n 1 Makefile)" recipes.out)
}

clients() {
  need_net
  say "A client in Python"
  need_python
  "$cache/venv/bin/python" "$here/client.py" "$url"
  say "A client in JavaScript"
  need_npm
  cp "$here/client.mjs" "$cache/"
  node "$cache/client.mjs" "$url"
}

pinning() {
  need_net
  say "A pinner, by the compliance suite of the IPFS Pinning Service API"
  need_suite
  token=$("$walrus" pin token add suite --home "$dir/pins")
  "$walrus" pin run --home "$dir/pins" --config "$dir/net/client.yaml" --listen /ip4/127.0.0.1/tcp/0 --pinning-api 127.0.0.1:0 \
    >"$dir/pin.out" 2>"$dir/pin.log" &
  pinner=$!
  for _ in $(seq 100); do
    grep -q ready "$dir/pin.out" && break
    kill -0 "$pinner" || { tail -n 20 "$dir/pin.log" >&2; exit 1; }
    sleep 0.2
  done
  api=$(awk '/ready/ {print $3}' "$dir/pin.out")
  curl -fsS "$api/openapi.json" -o "$dir/pinning.json"
  need_npm
  (cd "$cache" && npx redocly lint --config "$here/redocly.yaml" "$dir/pinning.json")
  suite=$cache/pinning/node_modules/@ipfs-shipyard/pinning-service-compliance/dist
  mkdir -p "$suite/docs" # its report
  PINNING_SPEC=${PINNING_SPEC:-$dir/pinning.json} node --require "$here/pinning.cjs" "$suite/src/index.js" -s "$api" "$token" \
    >"$dir/suite.out" 2>&1 || true
  sed -n '/^Summary/,/^See the full/p' "$dir/suite.out"
  # Nine checks. Without schemas the suite drops four of them and still says that all were successful.
  grep -q '^Summary (9/9 successful)' "$dir/suite.out" || { tail -n 60 "$dir/suite.out" >&2; exit 1; }
  kill "$pinner" && wait "$pinner"
  pinner=
}

browser() {
  need_net
  say "A browser"
  need_npm
  need_chromium
  cp "$here/browser.mjs" "$here/browse.mjs" "$cache/"
  node "$cache/browser.mjs" "$url" "$walrus" "$dir/net/client.yaml"
}

screens() {
  say "Every page, as people see it"
  need_npm
  need_chromium
  go test -c -o "$dir/pages.test" ./gateway/pages
  cp "$here/screens.mjs" "$here/browse.mjs" "$cache/"
  node "$cache/screens.mjs" "$dir/pages.test" "${SCREENSHOTS:-$root/docs/screens}"
}

for part in "${parts[@]}"; do "$part"; done
say "web: all of ${parts[*]} passed in $SECONDS s"

#!/usr/bin/env bash
# Start a policy server of our own, search on it, and stop it, whatever happens in between.
set -euo pipefail
cd "$(dirname "$0")/.."
server=.venv-server/bin/ets-server
name=demo
"$server" status --json | grep -q '"name": "demo"' && name=demo-$$ # another demo runs
endpoint=.stamps/$name.json
stop() {
  status=$?
  trap '' INT TERM HUP # a second Ctrl-C or a closed terminal must not keep the server alive
  "$server" down "$name" >/dev/null 2>&1 || true
  rm -f "$endpoint"
  exit "$status"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$server" up "$name" --profile smollm2 --port auto --endpoint-file "$endpoint"
.venv/bin/ets-client search examples/questions.jsonl --endpoint "$endpoint" --depth 6 --live \
  --seconds "${DEMO_SECONDS:-120}" "$@"

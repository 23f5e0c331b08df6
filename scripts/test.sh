#!/usr/bin/env bash
# All tests, in two halves side by side: what Python computes, and what waits for real servers, which are processes of
# their own. The suites start these servers themselves, and they stop with the suites, even when those are killed.
set -euo pipefail
cd "$(dirname "$0")/.."

# not pytest --cov: our own pytest plugin is imported before that begins to measure
client_tests() { COVERAGE_FILE=.coverage.$1 .venv/bin/coverage run -m pytest tests -m "$2"; }
report() { .venv/bin/coverage report --skip-covered "$@"; }

fast_half() { client_tests fast "not live and not live_0_5_23"; }

server_half() {
    trap 'exit 130' INT  # not on to the next suite
    local status=0
    client_tests live live || status=1
    (cd server && ../.venv-server/bin/pytest) || status=1
    return $status
}

printed=$(mktemp)
halves=()
signal=INT
end() {
    for half in "${halves[@]}"; do kill -$signal -- "-$half" 2> /dev/null || true; done
    wait
    rm -f "$printed"
}
trap end EXIT
trap 'exit 130' INT
trap 'signal=TERM; exit 143' TERM

set -m  # process groups of their own, each ended as a whole; a script's plain jobs would ignore interrupts
fast_half &
halves+=($!)
server_half > "$printed" 2>&1 &
halves+=($!)
set +m

failed=0
wait "${halves[0]}" || failed=1
echo "the tests on real servers, and of the server tool:"
wait "${halves[1]}" || failed=1
cat "$printed"
[ $failed = 0 ]

.venv/bin/coverage combine --quiet .coverage.fast .coverage.live
echo "branch coverage of the pure layers:"
report --include='src/ets_client/_core/*,src/ets_client/_wire/*' --fail-under=100
echo "branch coverage of the package:"
report --fail-under=90

#!/usr/bin/env bash
# All tests. The suites start the real server themselves and it stops with them, even when they are killed.
set -euo pipefail
cd "$(dirname "$0")/.."
report() { .venv/bin/coverage report --skip-covered "$@"; }

# not pytest --cov: our own pytest plugin is imported before that begins to measure
.venv/bin/coverage run -m pytest tests -m "not live_0_5_23" "$@"
echo "branch coverage of the pure layers:"
report --include='src/ets_client/_core/*,src/ets_client/_wire/*' --fail-under=100
echo "branch coverage of the package:"
report --fail-under=90
(cd server && ../.venv-server/bin/pytest)

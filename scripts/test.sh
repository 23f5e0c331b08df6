#!/usr/bin/env bash
# All tests. The suites start the real server themselves and it stops with them, even when they are killed.
set -euo pipefail
cd "$(dirname "$0")/.."
report() { .venv/bin/coverage report --skip-covered "$@"; }

.venv/bin/pytest tests --cov --cov-report= "$@"
echo "branch coverage of the pure layers:"
report --include='src/ets_client/_core/*,src/ets_client/_wire/*' --fail-under=100
echo "branch coverage of the package:"
report --fail-under=90
(cd server && ../.venv-server/bin/pytest)

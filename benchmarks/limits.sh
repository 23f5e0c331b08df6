#!/usr/bin/env bash
# Everything behind the limits in docs/explanation/performance.md and connections.md, one piece after the other.
#
#   benchmarks/limits.sh                        all pieces, then `merge`
#   benchmarks/limits.sh list                   their names, and how long each takes
#   benchmarks/limits.sh instant-1024 memory    these pieces; `merge` puts together what is there
#
# On a machine with more cores: LIMITS_CORES=0,1 (taskset). PYTHON is the interpreter (python), LIMITS_OUT the folder
# for parts and results (benchmarks/results), LIMITS_ROUNDS the rounds (5), LIMITS_SOAK the seconds of the soak (600).
# Nothing else may run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LIMITS_OUT:-benchmarks/results}
parts=$out/parts
rounds=${LIMITS_ROUNDS:-5}
soak=${LIMITS_SOAK:-600}
python=(${LIMITS_CORES:+taskset -c "$LIMITS_CORES"} "${PYTHON:-python}")

declare -A delays=([instant]="instant" [500ms]="500 ms" [jitter]="250-750 ms")
pieces=()
for delay in instant 500ms jitter; do
  for in_flight in 1 16 64 256 1024 4096; do pieces+=("$delay-$in_flight"); done
done
pieces+=(churn threads memory import faults soak)

run() {
  local piece=$1
  echo "== $piece, $(date +%T)"
  case $piece in
    churn) "${python[@]}" benchmarks/pool.py "$parts/churn.json" --only-churn ;;
    threads | memory) "${python[@]}" "benchmarks/$piece.py" "$out/$piece.json" ;;
    import) "${python[@]}" benchmarks/import_time.py "$out/import_time.json" ;;
    faults) "${python[@]}" benchmarks/faults.py "$out/faults.json" ;;
    soak) "${python[@]}" benchmarks/soak.py "$out/soak.json" --seconds "$soak" ;;
    merge) "${python[@]}" benchmarks/pool.py "$out/pool.json" --merge "$parts"/*.json ;;
    *-*)
      "${python[@]}" benchmarks/pool.py "$parts/$piece.json" --no-churn --rounds "$rounds" \
        --servers "${delays[${piece%-*}]}" --in-flight "${piece#*-}"
      ;;
    *) echo "no such piece: $piece; see: $0 list" >&2; return 2 ;;
  esac
}

if [ "${1:-}" = list ]; then
  echo "${pieces[*]} merge" | tr ' ' '\n'
  echo "# delay-in_flight: 3 to 4 minutes each with 5 rounds; churn 3, threads 2, memory 1, import 1, faults 4, soak 10" >&2
  exit
fi
mkdir -p "$parts"
if [ $# -eq 0 ]; then set -- "${pieces[@]}" merge; fi
failed=()
for piece in "$@"; do run "$piece" || failed+=("$piece"); done
if [ ${#failed[@]} -gt 0 ]; then echo "failed: ${failed[*]}" >&2; exit 1; fi

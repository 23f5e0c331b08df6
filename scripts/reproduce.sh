#!/usr/bin/env bash
# ETS from end to end on one machine, without a GPU: a policy server and a reward server, a search with both that is
# interrupted in the middle and goes on, its grades, a page for each tree, and what all of it cost. The servers stop
# with the script, whatever happens.
#
#     scripts/reproduce.sh [options of `ets-client search`]
#
# The last of two options counts. From the environment, or as `make reproduce NAME=value`, with paths from the
# repository's root:
#
#     QUESTIONS        the questions                          examples/questions.jsonl
#     FIRST            how many of them                       all
#     METHOD, WIDTH    who decides, and samples of a level    ets, 8
#     POLICY, REWARD   profiles of the two models             smollm2, smollm2
#     REWARD_FORMAT    how the reward model is asked          plus-minus, which any model can be
#     OUT              the run's folder                       runs/ and the time
#     INTERRUPT_AFTER  questions that are done by then        half of them
#     SIGNAL           what interrupts it: INT, TERM, KILL    INT, which Ctrl-C sends
#     ETS_CLIENT, ETS_SERVER   the two commands               those that `make reproduce` installs
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
client=${ETS_CLIENT:-.venv/bin/ets-client}
server=${ETS_SERVER:-.venv-server/bin/ets-server}
questions=${QUESTIONS:-examples/questions.jsonl}
out=${OUT:-runs/$(date +%Y-%m-%d_%H-%M-%S)}
signal=${SIGNAL:-INT}
asked=${FIRST:-$(grep -c . "$questions")}
after=${INTERRUPT_AFTER:-$(((asked + 1) / 2))}
if [[ -e $out/journal.jsonl ]]; then
  echo "error: $out holds a run already: choose another folder (OUT=…), or remove it" >&2
  exit 2
fi
mkdir -p "$out"

job='' # what runs now
stop() {
  status=$?
  trap '' INT TERM HUP # a second Ctrl-C or a closed terminal must not keep the servers alive
  if [[ -n $job ]] && kill -s INT "$job" 2>/dev/null; then wait "$job" || true; fi
  for name in policy-$$ reward-$$; do
    if "$server" down "$name" 2>/dev/null; then :; fi # one that never started is not there
  done
  exit "$status"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

bold='' dim='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; fi
begin() { # run a command beside this script, so that signals reach the script at once
  printf '%s$ %s%s\n' "$dim" "$(sed "s/'\([A-Za-z0-9_./:=-]*\)'/\1/g" <<<"${*@Q}")" "$plain"
  set -m # a process group of its own: without it bash makes the command deaf to SIGINT
  "$@" &
  job=$!
  set +m
}
end() {
  local status=0
  wait "$job" || status=$?
  job=''
  return "$status"
}
title() { # the part that begins now
  part=$1 began=$EPOCHREALTIME
  printf '\n%s%s%s\n' "$bold" "$part" "$plain"
}
timed() { # the part is over
  local seconds
  seconds=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $began }")
  printf '%s\t%s\n' "$part" "$seconds" >>"$out/parts.tsv"
  printf '%s: %s s\n' "$part" "$seconds"
}
run() { begin "$@" && end; }
figures() { "$(dirname "$client")/python" scripts/figures.py "$@"; }
done_questions() { grep -c '"kind":"end"' "$out/journal.jsonl" 2>/dev/null || true; }

# Half of the cores for each server. On the same ones each step of one waits for threads that the other has displaced:
# on two cores, beside other work, a search with both took a minute a level.
export CUDA_VISIBLE_DEVICES='' # on the CPU, wherever it runs
read -ra cores < <("$(dirname "$client")/python" -c 'import os; print(*sorted(os.sched_getaffinity(0)))')
policy_cores=() reward_cores=()
if ((${#cores[@]} > 1)) && command -v taskset >/dev/null; then
  half=$((${#cores[@]} / 2))
  policy_cores=(taskset -c "$(IFS=, && echo "${cores[*]:0:half}")")
  reward_cores=(taskset -c "$(IFS=, && echo "${cores[*]:half}")")
fi

title "Policy server"
run "${policy_cores[@]}" "$server" up "policy-$$" --profile "${POLICY:-smollm2}" --endpoint-file "$out/policy.json"
timed

title "Reward server"
run "${reward_cores[@]}" "$server" up "reward-$$" --profile "${REWARD:-smollm2}" --endpoint-file "$out/reward.json"
timed
figures before "$out"

search=("$client" search "$questions" --first "$asked" --endpoint "$out/policy.json" --reward-endpoint "$out/reward.json"
  --reward-format "${REWARD_FORMAT:-plus-minus}" --method "${METHOD:-ets}" --lambda-c 1 --lambda-s 1.5
  --width "${WIDTH:-8}" --depth 6 "$@" --out "$out")
title "Search, interrupted by SIG$signal"
begin "${search[@]}"
while kill -0 "$job" 2>/dev/null; do
  seen=$(done_questions)
  if ((${seen:-0} >= after)); then
    echo "$seen of $asked questions are done: SIG$signal to the search"
    kill -s "$signal" "$job" 2>/dev/null || true
    break
  fi
  sleep 0.1
done
status=0
end || status=$?
case $status in
  0) echo "it was done before it could be interrupted: take a smaller INTERRUPT_AFTER than $after" ;;
  130 | 137 | 143) ;;
  *) exit "$status" ;;
esac
timed

title "Search, resumed"
run "${search[@]}" --resume
timed

title "Evaluation"
run "$client" evaluate "$out" --csv "$out/tables" --plot "$out/accuracy.png"
timed

title "Pages"
run "$client" show "$out"
timed

title "What it cost"
figures after "$out"
printf '\nLook at the trees: file://%s/pages/index.html\n\n' "$(cd "$out" && pwd)"

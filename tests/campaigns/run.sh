#!/usr/bin/env bash
# Every campaign, one after the other: bash tests/campaigns/run.sh [MINUTES]
# MINUTES (60) are shared out between them. Each prints what it tried, what survived and what was lost; the exit
# code is 1 if anything was lost. By hand: the suite has a small part of each.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || { echo "run.sh: $python is not there; bash scripts/setup.sh makes it, or set PYTHON" >&2; exit 2; }
minutes=${1:-60}
case $minutes in '' | *[!0-9]*) echo "run.sh: $minutes: must be whole minutes" >&2; exit 2 ;; esac
campaigns=(tests/campaigns/*.py)
share=$((minutes * 60 / ${#campaigns[@]}))
lost=0
for campaign in "${campaigns[@]}"; do
  echo "== $(basename "$campaign" .py), $((share / 60)) min $((share % 60)) s"
  case $campaign in
    *fuzz_*) size=$((share * 5)) ;; # a number of examples: about five a second
    *) size=$(awk "BEGIN { print $share / 60 }") ;;
  esac
  "$python" "$campaign" "$size" || lost=1
done
exit $lost

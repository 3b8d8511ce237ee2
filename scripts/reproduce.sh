#!/usr/bin/env bash
# The whole reproduction: set-up, the sweep over batch sizes, the figure, the report.
#
#   bash scripts/reproduce.sh                        experiment=digits, on data that needs no download
#   bash scripts/reproduce.sh ARGUMENT...            all of them go to `bnrepro sweep batch-size`, such as
#   bash scripts/reproduce.sh experiment=cifar10_quick data.root=DIR
#
# The same command continues an interrupted sweep. Paths are relative to where it is called.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
bnrepro=$root/.venv/bin/bnrepro

experiment=(experiment=digits)
for argument; do
  case $argument in experiment=*) experiment=() ;; esac
done

sweep_directory() { # OUTPUT : the DIR of its last line, `bnrepro plot DIR`; nothing where it ends otherwise
  "$root/.venv/bin/python" - "$1" <<'PYTHON'
import pathlib, shlex, sys

output = "\n" + pathlib.Path(sys.argv[1]).read_text(encoding="utf-8", errors="surrogateescape")
_, found, rest = output.rpartition("\nbnrepro plot ")
words = shlex.split(rest) if found else []
if len(words) == 1:
    sys.stdout.buffer.write(words[0].encode("utf-8", errors="surrogateescape"))
PYTHON
}

only_without_variance() { # TABLE : whether every failed cell had one value per channel
  "$root/.venv/bin/python" - "$1" <<'PYTHON'
import csv, os, sys

if not os.path.exists(sys.argv[1]):
    sys.exit(1)
with open(sys.argv[1], encoding="utf-8", newline="") as table:
    failed = [row["message"] for row in csv.DictReader(table) if row["status"] == "failed"]
sys.exit(not (failed and all("Expected more than 1 value per channel" in message for message in failed)))
PYTHON
}

bash "$root/scripts/setup.sh"

output=$(mktemp)
trap 'rm -f -- "$output"' EXIT
trap : INT # the sweep answers Ctrl-C, by keeping what is finished; then its exit code counts
status=0
"$bnrepro" sweep batch-size ${experiment[@]+"${experiment[@]}"} "$@" | tee -i -- "$output" ||
  status=${PIPESTATUS[0]}
case $status in
  0 | 1) ;; # 1: a cell failed; the figure shows the others
  *) exit "$status" ;;
esac
directory=$(sweep_directory "$output")
if [ -z "$directory" ]; then exit "$status"; fi # --dry-run, --help

"$bnrepro" plot -- "$directory" || exit
"$bnrepro" report -- "$directory" >/dev/null || exit
if [ "$status" = 1 ]; then
  if only_without_variance "$directory/table.csv"; then
    status=0 # it is what the figure shows
    printf '\nWhere batch norm has one value per channel the variance is 0 and it cannot train: marked in the figure.\n'
  else
    printf '\nSome cells failed (see above): the same command tries them again.\n'
  fi
fi
printf '\n'
printf '%-12s %s\n' Figure: "$directory/figure.png" Table: "$directory/table.csv" \
  Summary: "$directory/summary.csv" TensorBoard: "$directory/tensorboard"
printf '\nTo look at the training curves:\n  %q --logdir %q\n' "$root/.venv/bin/tensorboard" "$directory/tensorboard"
printf '\nAll of it on one page, for a browser:\n  %s\n' "$directory/report.html"
exit "$status"

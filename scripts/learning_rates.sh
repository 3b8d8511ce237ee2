#!/usr/bin/env bash
# A small search for `optimizer.base_lr`, the same for every norm:
#
#   bash scripts/learning_rates.sh OUT RATES ARGUMENT...
#   bash scripts/learning_rates.sh results/runs/lr 0.1,0.2,0.4 experiment=cifar10_quick data.root=DIR --batch-sizes 4,64
#
# Trains one sweep per rate in OUT/<rate> (the same command continues) and writes OUT/table.csv.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
out=$1
IFS=, read -r -a rates <<<"$2"
shift 2

for rate in "${rates[@]}"; do
  "$root/.venv/bin/bnrepro" sweep batch-size "$@" "optimizer.base_lr=$rate" --out "$out/$rate"
done
"$root/.venv/bin/python" - "$out" "${rates[@]}" <<'PYTHON'
import pathlib, sys
import pandas as pd
from bnrepro.analysis import load_table

out = pathlib.Path(sys.argv[1])
tables = [load_table(out / rate).assign(base_lr=float(rate)) for rate in sys.argv[2:]]
table = pd.concat(tables).pivot_table(
    index=["data", "norm", "batch_size"], columns="base_lr", values="error_running"
)
table.to_csv(out / "table.csv")
print(table.to_string(float_format="%.2f"))
print(out / "table.csv")
PYTHON

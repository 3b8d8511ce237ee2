#!/usr/bin/env bash
# Sets up what the tests need and runs them: bash scripts/test.sh [PYTEST ARGUMENT...]
#
#   bash scripts/test.sh                            everything, side by side on all cores
#   bash scripts/test.sh -m "not slow"              what takes seconds
#   bash scripts/test.sh tests/norms -k gn     some, one after the other
#
# Tests marked `slurm` start a cluster of their own, as root and where Slurm is installed
# (scripts/slurm-dev-cluster.sh install); elsewhere they are skipped with the reason.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
bash "$root/scripts/setup.sh" test
cd -- "$root"
exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"

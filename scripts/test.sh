#!/usr/bin/env bash
# Sets up what the tests need and runs them: bash scripts/test.sh [PYTEST ARGUMENT...]
#
# Where Slurm is installed and this is root, the tests marked `slurm` get two clusters of their own
# (without and with accounting), taken down at the end; elsewhere they are skipped with the reason.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cluster=$root/scripts/slurm-dev-cluster.sh
PATH=$PATH:/usr/sbin:/sbin
clusters='' # their files

take_down() {
  local kind
  if [ -z "$clusters" ]; then return; fi
  for kind in none dbd; do
    if [ -d "$clusters/$kind" ]; then BNREPRO_SLURM_DIR=$clusters/$kind bash "$cluster" down || :; fi
  done
  rm -rf -- "$clusters"
}

bring_up() { # none|dbd : prints the cluster's SLURM_CONF
  BNREPRO_SLURM_DIR=$clusters/$1 bash "$cluster" up --accounting "$1" >&2 || return
  printf '%s' "$clusters/$1/slurm.conf"
}

have() {
  local program
  for program; do
    command -v "$program" >/dev/null || return 1
  done
}

start_clusters() {
  if [ "$UID" != 0 ] || ! have sbatch slurmctld slurmd munged; then return; fi
  clusters=$(mktemp -d /tmp/bnrepro-test-XXXXXX) # not in TMPDIR: Slurm takes no spaces in its paths
  chmod 755 "$clusters"
  SLURM_CONF=$(bring_up none) || return
  export SLURM_CONF
  if have slurmdbd mariadbd; then
    BNREPRO_TEST_ACCOUNTING_CONF=$(bring_up dbd) || return
    export BNREPRO_TEST_ACCOUNTING_CONF
  fi
}

bash "$root/scripts/setup.sh" test
trap take_down EXIT
trap 'exit 130' INT TERM
if ! start_clusters; then
  if [ "${CI:-}" = true ]; then exit 1; fi # there nobody would notice what was skipped
  printf 'test: no Slurm cluster (see above): the tests marked slurm are skipped\n' >&2
fi
cd -- "$root"
.venv/bin/python -m pytest "$@"

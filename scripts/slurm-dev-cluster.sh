#!/usr/bin/env bash
# A real Slurm of one node on loopback, for development and for the tests marked `slurm`.
#
#   scripts/slurm-dev-cluster.sh install [--fix-hosts]          Debian's packages; starts none of them
#   scripts/slurm-dev-cluster.sh up [--accounting none|dbd]     dbd: slurmdbd and MariaDB, for sacct
#   eval "$(scripts/slurm-dev-cluster.sh env)"                  every Slurm command needs this
#   scripts/slurm-dev-cluster.sh down                           cancels its jobs, stops its daemons
#
#   BNREPRO_SLURM_DIR   its files, a directory per cluster (/tmp/bnrepro-slurm-UID)
#   BNREPRO_SLURM_PORT  the first of its three ports (three free ones from 16817 on)
#   BNREPRO_SLURM_CPUS  CPUs the node claims; may exceed the real ones (all of them, at least 4)
#
# A daemon is this cluster's if it has the directory in its environment; no other is ever signalled.
# Tried with Slurm 22.05 on Debian 12.
set -euo pipefail
umask 022 # Slurm and munge insist on it

DIR=${BNREPRO_SLURM_DIR:-/tmp/bnrepro-slurm-$UID}
DIR=${DIR%/}
VAR=$DIR/var
CONF=$DIR/slurm.conf
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'slurm-dev-cluster: %s\n' "$*"; }
die() { # MESSAGE [EXIT CODE]
  say "$1" >&2
  exit "${2:-1}"
}
require_root() { [ "$UID" = 0 ] || die "$1 needs root: slurmd starts jobs as their users"; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/slurm-dev" && pwd -P)
# shellcheck source=slurm-dev/packages.sh
. "$here/packages.sh"
# shellcheck source=slurm-dev/configuration.sh
. "$here/configuration.sh"
# shellcheck source=slurm-dev/daemons.sh
. "$here/daemons.sh"

node_ready() { case $(sinfo -h -o %T) in idle | mixed | allocated | completing) ;; *) return 1 ;; esac; }

up() { # ACCOUNTING
  local missing running_as port
  require_root up
  missing=$(missing_packages "$1" | paste -s -d ' ' -)
  [ -z "$missing" ] || die "not installed: $missing (Debian's names); '$0 install' does it"
  check_host_name
  check_directory
  if any_running; then
    running_as=$(cat "$VAR/accounting")
    [ "$running_as" = "$1" ] || die "$DIR runs with accounting $running_as: '$0 down' first"
  else
    port=$(first_port)
    write_slurm_conf "$1" "$port"
    printf '%s\n' "$1" >"$VAR/accounting"
  fi
  export SLURM_CONF=$CONF
  start_munged
  if [ "$1" = dbd ]; then start_accounting; fi
  launch slurmctld slurmctld -D
  launch slurmd slurmd -D
  wait_for "the node" node_ready
  say "up in $DIR, accounting $1; next: eval \"\$($0 env)\""
}

cancel_jobs() { # slurmd would leave them running
  local jobs
  jobs=$(timeout 15 squeue -h -o %A | sort -u) || return 1
  if [ -z "$jobs" ]; then return; fi
  # shellcheck disable=SC2086  # a list of words
  timeout 15 scancel $jobs || :
  for _ in {1..150}; do
    [ -n "$(timeout 15 squeue -h)" ] || return 0
    sleep 0.2
  done
  return 1
}

down() {
  local status=0
  require_root down
  if ! any_running; then
    say "nothing runs in $DIR"
    return
  fi
  export SLURM_CONF=$CONF
  if running slurmctld >/dev/null && running slurmd >/dev/null; then
    cancel_jobs || { say "jobs are left in $DIR" >&2; status=1; }
  fi
  stop_daemons || status=1
  if [ "$status" = 0 ]; then say "down in $DIR"; fi
  return "$status"
}

print_env() {
  if [ ! -f "$CONF" ] || ! SLURM_CONF=$CONF timeout 5 sinfo >/dev/null 2>&1; then
    die "no cluster answers in $DIR: '$0 up' starts one"
  fi
  printf 'export SLURM_CONF=%s\n' "$CONF"
}

usage() { die "$1; usage: $0 install [--fix-hosts] | up [--accounting none|dbd] | down | env" 2; }

main() {
  local words="$*"
  case $words in
    install) install_cluster no ;;
    'install --fix-hosts') install_cluster yes ;;
    up | 'up --accounting none' | 'up --accounting=none') up none ;;
    'up --accounting dbd' | 'up --accounting=dbd') up dbd ;;
    down) down ;;
    env) print_env ;;
    '') usage "no command" ;;
    *) usage "cannot do '$words'" ;;
  esac
}

main "$@"

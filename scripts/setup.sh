#!/usr/bin/env bash
# Makes .venv in the repository's root, with the versions of constraints.txt:
#
#   bash scripts/setup.sh [EXTRA...]     EXTRA: an optional dependency of pyproject.toml (test, lint)
#
# A call that finds everything in place returns at once. BNREPRO_PYTHON chooses the interpreter.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
stamp=$venv/.bnrepro-setup           # what was installed: a checksum; the extras; the repository's root
unfinished=$venv/.bnrepro-unfinished # there while this script works
constraints=$root/scripts/constraints.txt
DOWNLOAD='3.1 GB' DISK='6.5 GB' # of constraints.txt on Linux, measured

die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

checksum() { cat -- "$root/pyproject.toml" "$constraints" | cksum; }

stamped() { sed -n "$1p" "$stamp" 2>/dev/null || :; } # LINE

up_to_date() { # EXTRA... : whether the stamp covers them
  local extras extra
  [ -x "$venv/bin/python" ] && [ ! -e "$unfinished" ] || return 1
  [ "$(stamped 1)" = "$(checksum)" ] && [ "$(stamped 3)" = "$root" ] || return 1
  extras=$(stamped 2)
  for extra; do
    case " $extras " in *" $extra "*) ;; *) return 1 ;; esac
  done
}

version_of() { # INTERPRETER : prints its version; fails below 3.11
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

has_venv() {
  "$1" -c 'import venv, ensurepip' >/dev/null 2>&1
}

venv_package() { # INTERPRETER : the Debian package that gives it venv
  case ${1##*/} in
    python3.*) printf '%s-venv' "${1##*/}" ;;
    *) printf 'python3-venv' ;;
  esac
}

find_python() { # prints the interpreter to use
  local candidates=(python3 python3.14 python3.13 python3.12 python3.11)
  local candidate version without_venv='' too_old=''
  if [ -n "${BNREPRO_PYTHON:-}" ]; then candidates=("$BNREPRO_PYTHON"); fi
  for candidate in "${candidates[@]}"; do
    if ! version=$(version_of "$candidate"); then
      too_old=${too_old:-${version:+ ($candidate is Python $version)}}
    elif ! has_venv "$candidate"; then
      without_venv=${without_venv:-$candidate}
    else
      printf '%s' "$candidate"
      return
    fi
  done
  if [ -n "$without_venv" ]; then
    die "$without_venv has no venv module: on Debian or Ubuntu 'apt-get install $(venv_package "$without_venv")'"
  fi
  if [ -n "${BNREPRO_PYTHON:-}" ]; then die "BNREPRO_PYTHON=$BNREPRO_PYTHON: no Python 3.11 or newer$too_old"; fi
  die "found no Python 3.11 or newer$too_old: install one, or name one with BNREPRO_PYTHON=PATH"
}

identity() { # INTERPRETER : the same for an interpreter and a venv made with it
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], "in", sys.base_prefix)'
}

check_chosen_python() { # a .venv of another interpreter is not replaced behind the user's back
  local have want
  if [ -z "${BNREPRO_PYTHON:-}" ] || [ ! -x "$venv/bin/python" ]; then return; fi
  want=$(identity "$BNREPRO_PYTHON" 2>/dev/null) || die "BNREPRO_PYTHON=$BNREPRO_PYTHON does not run"
  have=$(identity "$venv/bin/python")
  [ "$have" = "$want" ] || die "$venv has Python $have: remove it to use BNREPRO_PYTHON=$BNREPRO_PYTHON"
}

# An interrupted install can leave half a package that looks installed, and the scripts of a repository
# that was moved name the old place: both start afresh.
usable() {
  [ -x "$venv/bin/python" ] && [ ! -e "$unfinished" ] || return 1
  [ ! -e "$stamp" ] || [ "$(stamped 3)" = "$root" ]
}

# Another user's .venv may have a Python that this one cannot run: it is theirs, and not ours to delete.
check_writable() {
  [ -w "$root" ] || die "$root: $(id -un) cannot write there; make a copy of the repository that is yours"
  [ -e "$venv" ] || return 0
  if [ ! -w "$venv" ] || { [ "$UID" != 0 ] && [ ! -O "$venv" ]; }; then
    die "$venv belongs to $(stat -c %U -- "$venv") and does not have all that is needed, or does not run for \
$(id -un); make a copy of the repository that is yours"
  fi
}

make_venv() {
  local python
  python=$(find_python)
  printf 'setup: making %s with Python %s\n' "$venv" "$(version_of "$python")"
  rm -rf -- "$venv" 2>/dev/null || die "$venv: cannot be removed; remove it, or make a copy of the repository"
  mkdir -- "$venv"
  : >"$unfinished"
  "$python" -m venv "$venv" || die "$python -m venv failed (see above)"
}

install_uv() { # inside the venv: it installs ten times faster than pip
  if [ ! -x "$venv/bin/uv" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" uv ||
      die "could not install uv (see above): check the network and run the same command again"
  fi
}

install_packages() { # EXTRA...
  local extras
  extras=$(printf '%s\n' "$@" | sort -u | paste -s -d , -)
  cd -- "$root"
  printf 'setup: installing PyTorch for CUDA and the rest: up to %s to download, %s on disk\n' "$DOWNLOAD" "$DISK"
  # compiled once here: else every process would take seconds for PyTorch where Python may not write that down
  "$venv/bin/uv" pip install --python "$venv/bin/python" --compile-bytecode \
    -c "$constraints" -b "$constraints" -e ".${extras:+[$extras]}" ||
    die "could not install the packages (see above): check the network and run the same command again"
  printf '%s\n' "$(checksum)" "${extras//,/ }" "$root" >"$stamp.new"
}

main() {
  local extras
  check_chosen_python
  if up_to_date "$@"; then return; fi
  check_writable
  # Two set-ups of one repository at a time would install over each other.
  if command -v flock >/dev/null; then
    exec 9<"$root"
    flock 9
    if up_to_date "$@"; then return; fi
  fi
  extras=$(stamped 2)
  if ! usable; then make_venv; fi
  : >"$unfinished"
  install_uv
  # shellcheck disable=SC2086  # a list of words
  install_packages "$@" $extras
  mv -- "$stamp.new" "$stamp"
  rm -f -- "$unfinished"
}

main "$@"

# shellcheck shell=bash
# What has to be on the machine: Debian's packages, the host name.
# Sourced by ../slurm-dev-cluster.sh, which sets the names in capitals.

host_address() { getent ahostsv4 "$(hostname)" | awk 'NR == 1 { print $1 }'; }

# Daemons kept to loopback listen on what the host name resolves to. Debian's usual 127.0.1.1 will not do:
# a step calls srun back on the connection's source address, 127.0.0.1, where srun then does not listen.
check_host_name() {
  local address
  address=$(host_address) || :
  [ "$address" = 127.0.0.1 ] || die "host name $(hostname) resolves to ${address:-nothing}: /etc/hosts needs the \
line '127.0.0.1 $(hostname)' above any other of that name ('install --fix-hosts' writes it)"
}

fix_hosts() {
  local hosts
  if [ "$(host_address)" = 127.0.0.1 ]; then return; fi
  hosts=$(cat /etc/hosts)
  # Written in place: in a container the file is a mount and cannot be replaced.
  printf '127.0.0.1 %s # bnrepro: slurm-dev-cluster.sh\n%s\n' "$(hostname)" "$hosts" >/etc/hosts
  say "/etc/hosts: added '127.0.0.1 $(hostname)'"
}

missing_packages() { # ACCOUNTING : Debian's names of what is not there
  local program package
  while read -r program package; do
    command -v "$program" >/dev/null || printf '%s\n' "$package"
  done <<'TABLE'
munged munge
slurmctld slurmctld
slurmd slurmd
sbatch slurm-client
TABLE
  if [ "$1" = none ]; then return; fi
  while read -r program package; do
    command -v "$program" >/dev/null || printf '%s\n' "$package"
  done <<'TABLE'
slurmdbd slurmdbd slurm-wlm-mysql-plugin
mariadbd mariadb-server-core
my_print_defaults mariadb-client-core
TABLE
}

# Debian's packages start their daemons when installed; a policy of "not now" (101) prevents that.
apt_install() { # PACKAGE...
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    # shellcheck disable=SC2064  # expanded now, on purpose
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null
}

install_cluster() {
  local packages start=$SECONDS
  require_root install
  command -v apt-get >/dev/null || die "install needs Debian or Ubuntu: no apt-get here"
  packages=$(missing_packages dbd | paste -s -d ' ' -)
  if [ -n "$packages" ]; then
    # shellcheck disable=SC2086  # a list of words
    apt_install $packages || die "apt-get could not install $packages (see above)"
    say "installed $packages in $((SECONDS - start)) s"
  fi
  if [ "$1" = yes ]; then fix_hosts; fi
  check_host_name
}

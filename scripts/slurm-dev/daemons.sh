# shellcheck shell=bash
# Starting, recognizing and stopping the cluster's daemons.
# Sourced by ../slurm-dev-cluster.sh, which sets the names in capitals.

DAEMONS=(slurmd slurmctld slurmdbd mariadbd munged) # in the order in which they are stopped

# Not `kill -0`: a stopped daemon that nobody has reaped yet still takes signals, but has no environment.
running() { # DAEMON : prints its process id if it is this cluster's and runs
  local pid
  pid=$(cat "$VAR/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qxF "BNREPRO_SLURM_DAEMON=$DIR:$1" || return 1
  printf '%s' "$pid"
}

any_running() {
  local daemon
  for daemon in "${DAEMONS[@]}"; do
    if running "$daemon" >/dev/null; then return; fi
  done
  return 1
}

launch() { # DAEMON COMMAND... : in a session of its own, unless it runs already
  local daemon=$1 descriptor
  shift
  if running "$daemon" >/dev/null; then return; fi
  (
    cd /
    for descriptor in "/proc/$BASHPID/fd/"*; do # an inherited pipe would keep its reader waiting for ever
      descriptor=${descriptor##*/}
      if [ "$descriptor" -gt 2 ]; then eval "exec $descriptor>&-"; fi
    done
    export BNREPRO_SLURM_DAEMON=$DIR:$daemon
    exec setsid "$@" </dev/null >>"$VAR/$daemon.out" 2>&1
  ) &
  printf '%s\n' "$!" >"$VAR/$daemon.pid"
}

give_up() { # MESSAGE : shows what the daemons said, stops them
  local log
  for log in "$VAR"/*.out "$VAR"/*.log; do
    if [ -s "$log" ]; then { printf '== %s\n' "$log"; tail -n 10 "$log"; } >&2; fi
  done
  stop_daemons >&2 || :
  die "$1"
}

wait_for() { # WHAT COMMAND... : until the command succeeds
  local what=$1 end=$((SECONDS + 30))
  shift
  sleep 0.1 # sinfo waits a whole second where nobody listens yet
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then give_up "$what: not there after 30 s"; fi
    sleep 0.1
  done
}

stop_daemons() {
  local daemon pid status=0
  for daemon in "${DAEMONS[@]}"; do
    if pid=$(running "$daemon"); then
      kill "$pid"
      for _ in {1..200}; do
        running "$daemon" >/dev/null || break
        sleep 0.1
      done
      if running "$daemon" >/dev/null; then
        kill -KILL "$pid"
        say "$daemon ($pid) had to be killed" >&2
        status=1
      fi
    fi
    rm -f "$VAR/$daemon.pid"
  done
  return "$status"
}

start_munged() {
  if running munged >/dev/null; then return; fi
  rm -f "$VAR"/munge.socket*
  if [ ! -s "$VAR/munge.key" ]; then (umask 077 && head -c 1024 /dev/urandom >"$VAR/munge.key"); fi
  launch munged munged --foreground --socket="$VAR/munge.socket" --key-file="$VAR/munge.key" \
    --pid-file="$VAR/munged.own.pid" --seed-file="$VAR/munged.seed"
  wait_for "munge's socket" munge -n --socket="$VAR/munge.socket"
}

start_accounting() {
  local database=$VAR/database
  if [ ! -d "$database/mysql" ]; then
    install -d -m 700 "$database"
    mariadb-install-db --no-defaults --datadir="$database" --user=root --skip-test-db \
      --auth-root-authentication-method=socket >"$VAR/mariadb-install.out" 2>&1 ||
      give_up "mariadb-install-db failed"
  fi
  launch mariadbd mariadbd --no-defaults --user=root --datadir="$database" --socket="$VAR/mysql.socket" \
    --skip-networking --pid-file="$VAR/mariadbd.own.pid" --log-error="$VAR/mariadbd.log" \
    --innodb-buffer-pool-size=128M --innodb-log-file-size=16M --innodb-lock-wait-timeout=900
  wait_for "the database's socket" test -S "$VAR/mysql.socket"
  launch slurmdbd env MYSQL_UNIX_PORT="$VAR/mysql.socket" slurmdbd -D
  wait_for slurmdbd timeout 5 sacctmgr -n -r show cluster
  sacctmgr -i add cluster bnrepro_dev >/dev/null 2>&1 || : # fails where it is known already
}

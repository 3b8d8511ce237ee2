# shellcheck shell=bash
# The cluster's directory, ports and configuration files.
# Sourced by ../slurm-dev-cluster.sh, which sets the names in capitals.

check_directory() {
  [[ $DIR =~ ^/[A-Za-z0-9._/+-]+$ ]] ||
    die "BNREPRO_SLURM_DIR=$DIR: an absolute path of letters, digits and ._/+- (Slurm's files take no other)"
  [ "${#DIR}" -le 80 ] || die "BNREPRO_SLURM_DIR=$DIR: more than 80 characters, too long for sockets in it"
  mkdir -p "$DIR"
  [ -O "$DIR" ] || die "BNREPRO_SLURM_DIR=$DIR belongs to another user"
  mkdir -p "$VAR/state" "$VAR/spool"
}

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

first_port() {
  local first=${BNREPRO_SLURM_PORT:-} port
  if [ -n "$first" ]; then
    [[ $first =~ ^[1-9][0-9]{0,4}$ && $first -le 65533 ]] ||
      die "BNREPRO_SLURM_PORT=$first: a whole number from 1 to 65533"
    for port in "$first" $((first + 1)) $((first + 2)); do
      port_free "$port" || die "port $port is taken: BNREPRO_SLURM_PORT names the first of three free ones"
    done
  else
    first=$((16817 + 10 * ($$ % 300))) # two clusters that start at the same time look at other ports
    until port_free "$first" && port_free $((first + 1)) && port_free $((first + 2)); do
      first=$((first + 10))
    done
  fi
  printf '%s' "$first"
}

write_slurm_conf() { # ACCOUNTING FIRST_PORT
  local cpus=${BNREPRO_SLURM_CPUS:-} memory real
  real=$(nproc)
  cpus=${cpus:-$((real > 4 ? real : 4))}
  [[ $cpus =~ ^[1-9][0-9]*$ ]] || die "BNREPRO_SLURM_CPUS=$cpus: a whole number from 1 on"
  memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
  cat >"$CONF" <<CONFIGURATION
# Written by slurm-dev-cluster.sh
ClusterName=bnrepro_dev
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$2
SlurmdPort=$(($2 + 1))
SlurmUser=root
# else every daemon listens on all of the machine's addresses
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
# a run over several processes meets at a port that its job's number gives: not that of another cluster's job
FirstJobId=$(($2 * 100))
AuthType=auth/munge
# cred_expire is also how long a requeued job waits; Slurm's own is 120 s, much shorter fails under load
AuthInfo=socket=$VAR/munge.socket,cred_expire=10
StateSaveLocation=$VAR/state
SlurmdSpoolDir=$VAR/spool
SlurmctldPidFile=$VAR/slurmctld.own.pid
SlurmdPidFile=$VAR/slurmd.own.pid
SlurmctldLogFile=$VAR/slurmctld.log
SlurmdLogFile=$VAR/slurmd.log
MailProg=/bin/true
# no cgroups: they are out of reach in most containers
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# else one job takes the whole node's memory and the others wait
DefMemPerCPU=$((memory / cpus / 2))
# the node claims the CPUs below, whatever the machine has
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES DefaultTime=10 MaxTime=7-0 State=UP
CONFIGURATION
  if [ "$1" = dbd ]; then write_accounting_conf $(($2 + 2)); fi
}

write_accounting_conf() { # PORT
  cat >>"$CONF" <<CONFIGURATION
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$1
# towards slurmdbd the socket is looked for here, not in AuthInfo
AccountingStoragePass=$VAR/munge.socket
CONFIGURATION
  install -m 600 /dev/stdin "$DIR/slurmdbd.conf" <<CONFIGURATION
AuthType=auth/munge
AuthInfo=socket=$VAR/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$1
CommunicationParameters=NoInAddrAny
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$VAR/slurmdbd.log
PidFile=$VAR/slurmdbd.own.pid
CONFIGURATION
}

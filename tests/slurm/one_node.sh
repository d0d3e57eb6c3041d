#!/usr/bin/env bash
# A SLURM of one node for the tests, from Debian's packages slurmctld, slurmd, slurm-client and munge; as root.
#   one_node.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#   one_node.sh slurmd FOLDER   starts slurmd again
#   one_node.sh stop FOLDER
# Keys, sockets, states and logs stay in FOLDER: nothing else of the machine is changed.
set -euo pipefail
action=$1
folder=$(realpath -m "$2")
export SLURM_CONF=$folder/slurm.conf PATH=$PATH:/usr/sbin

configure() {
  install -d -m 0755 "$folder" "$folder"/{state,spool,log,munge}
  dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
  chmod 0400 "$folder/munge/key"
  local host
  host=$(hostname -s)
  cat > "$SLURM_CONF" <<CONF
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
# no systemd, no control groups, no accounts: a container is enough
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
# the node says that it has four cores, whatever the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
MinJobAge=300
KillWait=5
SlurmdTimeout=20
SlurmctldTimeout=20
ReturnToService=2
# an urgent job puts others back into the queue
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node NodeHostname=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=60 PriorityTier=1 State=UP
PartitionName=urgent Nodes=node MaxTime=60 PriorityTier=10 PreemptMode=OFF State=UP
CONF
}

start_slurmd() {
  slurmd -N node
}

case $action in
  start)
    configure
    munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
      --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" --force
    slurmctld
    start_slurmd
    for _ in $(seq 60); do
      [ "$(sinfo --noheader --format=%T 2> /dev/null | sort -u)" = idle ] && exit 0
      sleep 0.5
    done
    echo "the node did not come up: see $folder/log" >&2
    exit 1
    ;;
  slurmd)
    start_slurmd
    ;;
  stop)
    scancel --user=root 2> /dev/null || true
    for _ in $(seq 40); do
      [ -z "$(squeue --noheader 2> /dev/null)" ] && break
      sleep 0.5
    done
    for pid in "$folder"/{slurmd.pid,slurmctld.pid,munge/pid}; do
      [ -s "$pid" ] && kill "$(cat "$pid")" 2> /dev/null || true
    done
    ;;
  *)
    echo "start, slurmd or stop" >&2
    exit 2
    ;;
esac

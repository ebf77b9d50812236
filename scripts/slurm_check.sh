#!/usr/bin/env bash
# Runs the smoke sweep through a real SLURM of one node on this machine and checks the results.
# Usage: scripts/slurm_check.sh
# Needs Debian's slurm-wlm and munge, which it installs where it may. SLURM runs as the current user, on loopback, with
# all its files in a temporary folder; everything that was started is stopped at the end, also after a failure.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "slurm_check: $*"; }
refuse() { say "$*" >&2; exit 1; }

[ $# = 0 ] || refuse "takes no arguments; it runs the smoke sweep through a SLURM that it starts and stops"
[ -x "$python" ] || refuse "there is no environment in $root/.venv; run make setup first"

lacking=""
for program in sbatch squeue scancel scontrol sinfo slurmctld slurmd munged; do
    command -v "$program" >/dev/null || lacking="$lacking $program"
done
if [ -n "$lacking" ]; then
    command -v apt-get >/dev/null || refuse "these are missing, and there is no apt-get to install them:$lacking"
    install="apt-get install --yes --no-install-recommends --option DPkg::Lock::Timeout=120 slurm-wlm munge"
    [ "$(id -u)" = 0 ] || refuse "these are missing:$lacking; as root: apt-get update && $install"
    say "missing:$lacking; installing slurm-wlm and munge with apt-get"
    ours="munge slurmctld slurmd"
    if [ -d /run/systemd/system ]; then  # those that run already are somebody's
        for service in munge slurmctld slurmd; do
            if systemctl is-active --quiet "$service"; then ours=${ours/$service/}; fi
        done
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet --quiet
    $install --quiet --quiet >/dev/null
    if [ -d /run/systemd/system ]; then  # a package starts its services; this check needs none of them
        for service in $ours; do
            systemctl stop "$service" 2>/dev/null || true
        done
    fi
fi

cores=$(getconf _NPROCESSORS_ONLN)
place=$(mktemp --directory --tmpdir plr-slurm-XXXXXX)
driver=""
passed=no

stop() {
    local status=$? daemon pid
    trap - EXIT INT TERM
    set +e
    if [ -n "$driver" ] && kill -0 "$driver" 2>/dev/null; then
        kill "$driver"
        wait "$driver" 2>/dev/null
    fi
    if [ -s "$place/slurmctld.pid" ]; then
        scancel --user="$(id -un)" 2>/dev/null
        for _ in $(seq 100); do
            [ -z "$(squeue --noheader 2>/dev/null)" ] && break
            sleep 0.2
        done
    fi
    for daemon in slurmd slurmctld munged; do
        [ -s "$place/$daemon.pid" ] || continue
        pid=$(cat "$place/$daemon.pid")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do
            running "$pid" || break
            sleep 0.1
        done
        running "$pid" && kill -KILL "$pid"
        say "stopped $daemon ($pid)"
    done
    if [ "$passed" = yes ]; then
        rm -rf "$place"
    else
        say "failed; what there was lies in $place" >&2
        [ "$status" != 0 ] || status=1
    fi
    exit "$status"
}
running() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- A SLURM of one node ---

export SLURM_CONF=$place/slurm.conf
read -r port port_of_node < <("$python" - <<'P'
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
P
)
mkdir "$place/state" "$place/spool"
(umask 077; head --bytes=1024 /dev/urandom >"$place/munge.key")
memory=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 - 256))

cat >"$SLURM_CONF" <<C
ClusterName=check
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$port_of_node
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$place/munge.socket
CredType=cred/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerParameters=batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=check Nodes=localhost Default=YES MaxTime=INFINITE State=UP
C

munged --force --key-file="$place/munge.key" --socket="$place/munge.socket" --pid-file="$place/munged.pid" \
    --log-file="$place/munged.log" --seed-file="$place/munged.seed"
slurmctld -c
slurmd -c -N localhost
ready=no
for _ in $(seq 100); do
    sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle$' && ready=yes && break
    sleep 0.1
done
[ "$ready" = yes ] || refuse "SLURM does not start: $(tail --lines=3 "$place"/slurm{ctld,d}.log 2>&1)"
say "started SLURM $(sinfo --version | cut -d' ' -f2) with $cores cores on loopback"

# --- A sweep through it, and the same one by workers of this machine ---

cd "$root"
export PYTHONPATH=$root OMP_NUM_THREADS=1
per_task=2
small=(evaluation.n_iterations=20 baseline.features=age)
through_slurm=(hydra/launcher=slurm hydra.launcher.combinations_per_task=$per_task hydra.launcher.memory=null
    hydra.launcher.array_parallelism="$cores" hydra.launcher.poll_s=1 hydra.launcher.grace_s=5
    'hydra.launcher.setup=["export FROM_SETUP=yes"]' +hydra.launcher.sbatch.comment=check)

sweep() {  # store, folder, words: runs the smoke sweep; what it prints goes to FOLDER.log
    local store=$1 folder=$2
    shift 2
    exec "$python" -m src.train -m sweeps=smoke "${small[@]}" "$@" \
        tracking.uri="sqlite:///$place/$store/mlflow.db" hydra.sweep.dir="$place/$folder" >"$place/$folder.log" 2>&1
}
expect() {  # folder, status, summary: waits for the sweep; refuses if it ended otherwise
    local status=0
    wait "$driver" || status=$?
    driver=""
    sed 's/^/    /' "$place/$1.log"
    [ "$status" = "$2" ] || refuse "the sweep exited with $status, not with $2"
    grep -q "^planned $3\$" "$place/$1.log" || refuse "expected of the sweep: planned $3"
}

say "the smoke sweep through SLURM"
sweep cluster first "${through_slurm[@]}" &
driver=$!
expect first 0 "8, finished 8, reused 0, failed 0"
say "the same sweep by workers of this machine"
sweep workers reference hydra/launcher=joblib hydra.launcher.n_jobs="$cores" &
driver=$!
expect reference 0 "8, finished 8, reused 0, failed 0"

through_tasks() {
    "$python" - "$place/cluster/mlflow.db" <<'P'
import sys

from src.tracking import list_runs

runs = [run for run in list_runs(f"sqlite:///{sys.argv[1]}") if run.tags["kind"] != "sweep"]
assert all("slurm_job" in run.tags for run in runs), "something ran outside SLURM"
tasks = {run.tags["slurm_job"] for run in runs if run.tags["kind"] == "combination"}
assert len(tasks) == 4, f"expected 4 tasks of 2 combinations, found {sorted(tasks)}"
P
}
in_order() {  # store...: nothing twice, nothing left unfinished, and of two the same predictions bit by bit
    "$python" scripts/compare_stores.py "${@/#/sqlite:///$place/}"
}
through_tasks || refuse "the sweep did not go through SLURM as it should"
in_order cluster/mlflow.db workers/mlflow.db || refuse "the results through SLURM are not those of the workers"
mode=$("$python" -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("PRAGMA journal_mode").fetchone())' \
    "$place/cluster/mlflow.db")
[ "$mode" = delete ] || refuse "the store is in journal mode $mode"

# --- A task that dies, and the same command again ---

say "another sweep, one task of which is cancelled while it computes"
again=("${through_slurm[@]}" data.seed=7 data.folder="$place/cohorts")
sweep cluster second "${again[@]}" &
driver=$!
victim=""
while [ -z "$victim" ] && kill -0 "$driver" 2>/dev/null; do
    sleep 0.1
    begun=$(grep --recursive --files-with-matches --include=run.log "being computed" "$place/second" 2>&1 || true)
    case $begun in "$place"*) ;; *) continue ;; esac
    victim=$(sed -n 's/.* in SLURM task \([0-9_]*\)$/\1/p' "${begun%%$'\n'*}" | head -1)
done
[ -n "$victim" ] || refuse "no task began to compute"
scancel "$victim"
say "cancelled task $victim"
while kill -0 "$driver" 2>/dev/null; do
    sleep 0.5
done
lost=$(grep -c "^\[[0-9]*/8\] failed .*the SLURM task $victim " "$place/second.log" || true)
expect second 1 "8, finished $((8 - lost)), reused 0, failed $lost"
[ "$lost" -ge 1 ] && [ "$lost" -le "$per_task" ] || refuse "expected 1 to $per_task combinations lost, not $lost"

say "the same command again"
sweep cluster third "${again[@]}" &
driver=$!
expect third 0 "8, finished $lost, reused $((8 - lost)), failed 0"
in_order cluster/mlflow.db || refuse "the store is not in order"

# --- The command dies, its tasks do not ---

say "a third sweep, whose command is killed when it has sent its tasks"
third=("${through_slurm[@]}" evaluation.seed=7)
sweep cluster fourth "${third[@]}" &
driver=$!
while ! grep -q '^sent to SLURM' "$place/fourth.log" 2>/dev/null && kill -0 "$driver" 2>/dev/null; do
    sleep 0.1
done
kill -KILL "$driver"
wait "$driver" 2>/dev/null || true
while [ -n "$(squeue --noheader)" ]; do
    sleep 0.5
done
say "its tasks ended; the same command again"
sweep cluster fifth "${third[@]}" &
driver=$!
expect fifth 0 "8, finished 0, reused 8, failed 0"
in_order cluster/mlflow.db || refuse "the store is not in order"

passed=yes
say "passed: all planned combinations finished under SLURM; with a cancelled task $lost were lost and run again, with a" \
    "killed command none"

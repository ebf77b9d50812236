#!/bin/bash
# Run sweeps against a real MLflow server on a real PostgreSQL, take the server away from them, and check the results.
# Needs Debian's PostgreSQL, and installs it with apt-get if it is missing. Everything it writes lies in a temporary
# folder, everything it starts listens on this machine only, and is stopped at the end, whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$PWD/.venv/bin/python

say() { echo "== $*"; }
fail() { echo "tracking_check: $*" >&2; exit 1; }

[ -x "$PYTHON" ] || fail "there is no $PYTHON; run: make setup"
if ! "$PYTHON" -c 'import psycopg' 2>/dev/null; then
    say "installing the Python driver of PostgreSQL"
    "$PYTHON" -m pip install --quiet --constraint constraints.txt 'psycopg[binary]'
fi

# --- PostgreSQL: Debian keeps its programs out of PATH ---------------------------------------------------------

postgres_folder() { find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1 | xargs -r dirname; }
if [ -z "$(postgres_folder)" ]; then
    [ "$(id -u)" = 0 ] || fail "PostgreSQL is missing; install it: sudo apt-get install postgresql"
    say "installing PostgreSQL (apt-get install postgresql)"
    # Otherwise Debian makes and starts a cluster of its own.
    NO_CLUSTER=/etc/postgresql-common/createcluster.conf
    mkdir -p "$(dirname $NO_CLUSTER)"
    if [ -e $NO_CLUSTER ]; then NO_CLUSTER=; else echo "create_main_cluster = false" >$NO_CLUSTER; fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends postgresql >/dev/null; } || say "apt-get failed"
    [ -z "$NO_CLUSTER" ] || rm "$NO_CLUSTER"
fi
POSTGRES=$(postgres_folder)
[ -n "$POSTGRES" ] || fail "there is no PostgreSQL in /usr/lib/postgresql; see what apt-get said"
# PostgreSQL refuses to be run by root.
as_owner() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# --- what is started, and how it is stopped --------------------------------------------------------------------

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/plr-server-XXXXXX")
DATABASE=$FOLDER/postgres SHARED=$FOLDER/artifacts SERVER='' SWEEP=''
chmod 755 "$FOLDER"
mkdir "$DATABASE" "$SHARED"
[ "$(id -u)" != 0 ] || chown postgres "$DATABASE"

stop_server() {
    [ -n "$SERVER" ] || return 0
    kill "-${1:-TERM}" -- "-$SERVER" 2>/dev/null || true # the process and all it started
    wait "$SERVER" 2>/dev/null || true
    SERVER=''
}
finish() {
    status=$?
    trap - EXIT
    [ -z "$SWEEP" ] || { kill "$SWEEP" 2>/dev/null && wait "$SWEEP"; } || true
    stop_server
    if [ -f "$DATABASE/data/postmaster.pid" ]; then
        (cd / && as_owner "$POSTGRES/pg_ctl" -D "$DATABASE/data" -m fast stop >/dev/null) || true
    fi
    if [ "$status" = 0 ]; then
        rm -rf "$FOLDER"
    else
        echo "tracking_check: failed; what was written is in $FOLDER (server.log, postgres.log, *.txt)" >&2
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_postgres() {
    PG_PORT=$(free_port)
    (
        cd / # the owner may not be allowed into the checkout
        as_owner "$POSTGRES/initdb" -D "$DATABASE/data" --auth=trust --username=plr --encoding=UTF8 --no-sync
        as_owner "$POSTGRES/pg_ctl" -D "$DATABASE/data" -l "$DATABASE/postgres.log" -w \
            -o "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=" start
        for name in shared kept; do as_owner "$POSTGRES/createdb" -h 127.0.0.1 -p "$PG_PORT" -U plr "$name"; done
    ) >"$FOLDER/initdb.txt"
}

start_server() { # name of the database, further options of mlflow server
    # setsid: a group of its own, so that all of it can be killed. One worker: with more each request takes 44 ms longer.
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
        setsid "$PYTHON" -m mlflow server --host 127.0.0.1 --port "$PORT" --workers 1 \
        --backend-store-uri "postgresql://plr@127.0.0.1:$PG_PORT/$1" "${@:2}" >>"$FOLDER/server.log" 2>&1 &
    SERVER=$!
}
wait_for_server() {
    for _ in $(seq 300); do
        "$PYTHON" -c "import urllib.request as u; u.urlopen('$URI/health', timeout=2)" 2>/dev/null && return
        kill -0 "$SERVER" 2>/dev/null || fail "the server did not start: see $FOLDER/server.log"
        sleep 0.2
    done
    fail "the server did not answer within two minutes"
}

# --- sweeps ----------------------------------------------------------------------------------------------------

export OMP_NUM_THREADS=1 PYTHONPATH=$PWD PLR_LOCAL=$FOLDER/local no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
start_sweep() { # name, words: four at once
    "$PYTHON" -m src.train -m sweeps=smoke hydra/launcher=joblib hydra.launcher.n_jobs=4 tracking=server \
        "hydra.sweep.dir=$FOLDER/sweeps/$1" "${@:2}" >"$FOLDER/$1.txt" 2>&1 &
    SWEEP=$!
}
ends_with() { # name, exit status, text it must have printed
    local status=0
    wait "$SWEEP" || status=$?
    SWEEP=''
    [ "$status" = "$2" ] || { cat "$FOLDER/$1.txt"; fail "the sweep ended with $status, not $2"; }
    grep -q -- "$3" "$FOLDER/$1.txt" || { cat "$FOLDER/$1.txt"; fail "the sweep did not print: $3"; }
}
wait_for_result() { # name: until the first combination is on record
    until grep -qs '^\[1/8\]' "$FOLDER/$1.txt"; do
        kill -0 "$SWEEP" 2>/dev/null || { cat "$FOLDER/$1.txt"; fail "the sweep ended too soon"; }
        sleep 0.1
    done
}
on_sqlite() { # name, words: the same, one after the other, with nothing in its way
    mkdir -p "$FOLDER/alone"
    "$PYTHON" -m src.train -m sweeps=smoke "tracking.uri=sqlite:///$FOLDER/alone/mlflow.db" \
        "hydra.sweep.dir=$FOLDER/sweeps/$1" "${@:2}" >"$FOLDER/alone.txt" 2>&1 ||
        { cat "$FOLDER/alone.txt"; fail "the sweep on sqlite failed"; }
}
extract() { # address of the store, database, words
    "$PYTHON" scripts/extract_results.py --tracking-uri "$1" --db "$2" "${@:3}" >>"$FOLDER/extraction.txt" 2>&1 ||
        { cat "$FOLDER/extraction.txt"; fail "the extraction from $1 failed"; }
}
same() { # further words
    "$PYTHON" scripts/compare_stores.py "$URI" "$FOLDER/alone/mlflow.db" "$@" || fail "the results are not the same"
}

say "PostgreSQL from $POSTGRES, in $FOLDER"
start_postgres
PORT=$(free_port)
URI=http://127.0.0.1:$PORT
export MLFLOW_TRACKING_URI=$URI

say "1. four writers, artifacts in a folder that all of them see"
start_server shared --default-artifact-root "$SHARED"
wait_for_server
start_sweep four
ends_with four 0 "finished 8, reused 0, failed 0"
on_sqlite one
extract "$URI" "$FOLDER/served.db"
extract "$FOLDER/alone/mlflow.db" "$FOLDER/alone.db"
same --writers 4 --databases "$FOLDER/served.db" "$FOLDER/alone.db"
stop_server

say "2. the server keeps the artifacts, is killed, and comes back after ten seconds"
start_server kept --artifacts-destination "$FOLDER/kept"
wait_for_server
start_sweep killed
wait_for_result killed
stop_server KILL
sleep 10
start_server kept --artifacts-destination "$FOLDER/kept"
ends_with killed 0 "finished 8, reused 0, failed 0"
grep -E "does not answer|answers again" "$FOLDER/killed.txt" || fail "the sweep did not notice"
extract "$URI" "$FOLDER/kept.db"
same --databases "$FOLDER/kept.db" "$FOLDER/alone.db"
stop_server

say "3. the server stays away: the sweep ends, and the same command completes it"
start_server shared --default-artifact-root "$SHARED"
wait_for_server
start_sweep away data.seed=2 tracking.patience_s=5
wait_for_result away
stop_server KILL
ends_with away 75 "StoreAway: .* what was finished is kept"
grep StoreAway "$FOLDER/away.txt"
start_server shared --default-artifact-root "$SHARED"
wait_for_server
start_sweep back data.seed=2 tracking.patience_s=5
ends_with back 0 "failed 0"
grep "^planned" "$FOLDER/back.txt"
on_sqlite other data.seed=2
same

say "all as it should be"

#!/usr/bin/env bash
# A PostgreSQL and a MariaDB of this checkout alone, for development and tests: ./scripts/services.sh up
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

services=$root/.services
servers=(postgresql mariadb)
# Debian keeps mariadbd where an ordinary user's PATH does not lead.
PATH=$PATH:/usr/sbin
# Nothing here is for others: passwords, logs, data.
umask 077

usage() {
    cat >&2 <<END
usage: ${0##*/} up              start both, on the data of last time; credentials: source .services/env
       ${0##*/} status          one line per server; exit code 0 if both run, else 3
       ${0##*/} down [--purge]  stop both; --purge removes their data too
       ${0##*/} install         only install what is missing, as \`up\` does first
END
    exit 2
}

# Debian keeps PostgreSQL's programs off PATH, by version. 15 is the one that the tests are written for.
find_postgresql() {
    local folder
    for folder in /usr/lib/postgresql/{15,*}/bin; do
        if [[ -x $folder/postgres && -x $folder/psql ]]; then
            postgresql=$folder
            return
        fi
    done
    return 1
}

# The core packages, since mariadb-server also sets up a server of the system and starts it.
install() {
    local missing=()
    if ! find_postgresql; then missing+=(postgresql); fi
    if ! command -v mariadb-install-db >/dev/null; then missing+=(mariadb-server-core); fi
    if ! command -v mariadb >/dev/null; then missing+=(mariadb-client-core); fi
    if ! command -v openssl >/dev/null; then missing+=(openssl); fi
    if ((${#missing[@]} == 0)); then return; fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        fail "not on this machine: ${missing[*]}: install these packages (their names in Debian and Ubuntu)"
    fi
    install_without_cluster "${missing[@]}"
    find_postgresql || fail "there is no PostgreSQL in /usr/lib/postgresql, although its package is installed"
}

# PostgreSQL's package makes a cluster of the system, and starts it, unless told not to before it comes.
install_without_cluster() {
    local folder=/etc/postgresql-common/createcluster.d
    (
        umask 022
        mkdir -p $folder
        echo 'create_main_cluster = false' >$folder/etl_spark.conf
        trap 'rm -f $folder/etl_spark.conf' EXIT
        install_packages "$@"
    )
}

# No server runs as root. Where root calls, both run as the user that PostgreSQL's package makes. It may not be able to
# enter the checkout, so the data are in a folder of its own in /var/tmp, and .services/data is a link to that.
# Of the caller's environment they get PATH only: a TMPDIR may be closed to them, and PG... would change what they do.
prepare_folder() {
    mkdir -p "$services" 2>/dev/null || fail "cannot write to $root: the checkout must be in a folder of your own"
    if [[ ! -e $services/inode ]]; then stat -c %i "$services" >"$services/inode"; fi
    as_owner=(env -i PATH="$PATH" LC_ALL=C.UTF-8)
    if ((EUID == 0)); then
        id postgres >/dev/null 2>&1 || fail "there is no user postgres to run the servers as"
        as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups "${as_owner[@]}")
    fi
    if [[ ! -d $services/data/ ]]; then
        rm -f "$services/data"
        if ((EUID == 0)); then
            data=$(mktemp -d /var/tmp/etl_spark-services.XXXXXX)
            chown postgres: "$data"
            ln -s "$data" "$services/data"
        else
            mkdir "$services/data"
        fi
    fi
    data=$(readlink -f "$services/data")
}

# A .services that was copied along with a checkout speaks of the other checkout's servers and data: hands off.
require_own_folder() {
    if [[ ! -d $services ]]; then return; fi
    if [[ ! -O $services ]]; then
        fail "$services belongs to $(stat -c %U "$services"): only that user can start and stop its servers"
    fi
    if [[ -e $services/inode && $(<"$services/inode") != "$(stat -c %i "$services")" ]]; then
        fail "$services is a copy of another checkout's: remove it, and call again"
    fi
}

# Which process has the pid $1, in words that no other ever has: pid, start in ticks since boot, boot.
# Nothing where it has ended, also if nobody waits for it (state Z), as in a container with no init.
identity() {
    local stat fields
    if ! stat=$(cat "/proc/$1/stat" 2>/dev/null); then return; fi
    read -ra fields <<<"${stat##*) }"
    if [[ ${fields[0]} != [ZX] ]]; then
        echo "$1 ${fields[19]} $(</proc/sys/kernel/random/boot_id)"
    fi
}

is_running() {
    local recorded
    recorded=$(cat "$services/$1.pid" 2>/dev/null) || return
    [[ -n $recorded && $(identity "${recorded%% *}") == "$recorded" ]]
}

port_of() {
    cat "$services/$1.port" 2>/dev/null || echo none
}

# The port of last time, so that clients find a restarted server again; else one below those of outgoing connections.
# Each server has numbers of its own: the first may not have taken its port yet when the second's is chosen.
choose_port() {
    local port first=20000
    port=$(port_of "$1")
    if [[ $1 == mariadb ]]; then first=26000; fi
    until [[ $port != none ]] && ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((first + RANDOM % 6000))
    done
    echo "$port"
}

make_postgresql() {
    # C.UTF-8 orders by code point, as Redshift and Spark do. But for one user over the loopback, nobody is let in.
    "${as_owner[@]}" "$postgresql/initdb" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --auth=reject \
        --no-sync "$1" &&
        "${as_owner[@]}" tee "$1/pg_hba.conf" <<<'host all etl 127.0.0.1/32 scram-sha-256' &&
        alone "$1" <<<$'CREATE ROLE etl LOGIN CREATEDB\nCREATE DATABASE etl OWNER etl'
}

# Statements from standard input, one a line, on the data $1 while no server runs: so no superuser needs a password.
# None is logged: one has the password of etl.
alone() {
    local settings=(-c fsync=off -c exit_on_error=on -c log_min_error_statement=panic)
    "${as_owner[@]}" "$postgresql/postgres" --single -D "$1" "${settings[@]}" postgres
}

start_postgresql() {
    local pid log=$services/postgresql.log deadline=$((SECONDS + 20)) settings=(
        -p "$(port_of postgresql)" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
        -c timezone=UTC -c log_timezone=UTC -c password_encryption=scram-sha-256
        # Test data need not outlive a power failure. What is committed does outlive a killed server.
        -c fsync=off -c full_page_writes=off
    )
    # A killed server leaves a file with its pid. A zombie, or a stranger with that pid now, would pass for a running
    # server; but a server's working folder is its data.
    pid=$(head -n 1 "$data/postgresql/postmaster.pid" 2>/dev/null) || pid=none
    if [[ ! /proc/$pid/cwd -ef $data/postgresql ]]; then rm -f "$data/postgresql/postmaster.pid"; fi
    until alone "$data/postgresql" < <(printf "ALTER ROLE etl PASSWORD '%s'\n" "$(<"$services/postgresql.password")"); do
        # The last processes of a server that was killed take a moment to notice.
        if ((SECONDS >= deadline)) || ! tail -n 2 "$log" | grep -q 'is still in use'; then return 1; fi
        sleep 0.1
    done
    launch postgresql "$postgresql/postgres" -D "$data/postgresql" "${settings[@]}"
}

answers_postgresql() {
    (
        unset "${!PG@}"
        PGPASSWORD=$(<"$services/postgresql.password") PGCONNECT_TIMEOUT=2 \
            "$postgresql/psql" -X -h 127.0.0.1 -p "$(port_of postgresql)" -U etl -c 'SELECT 1' etl
    )
}

make_mariadb() {
    # root may come in by a socket only, and there is none.
    "${as_owner[@]}" mariadb-install-db --no-defaults --datadir="$1" --skip-test-db --skip-name-resolve \
        --auth-root-authentication-method=socket
}

start_mariadb() {
    local tls=$data/mariadb/tls
    local settings=(
        --port="$(port_of mariadb)" --bind-address=127.0.0.1 --socket= --skip-name-resolve
        --character-set-server=utf8mb4 --sql-mode=TRADITIONAL --default-time-zone=+00:00 --local-infile=1
        --event-scheduler=ON --ssl-cert="$tls.pem" --ssl-key="$tls.key"
        # innodb_flush_log_at_trx_commit stays 1: tests kill this server, and what is committed must stay.
    )
    if [[ ! -e $tls.pem ]]; then
        "${as_owner[@]}" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
            -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout "$tls.key" -out "$tls.pem" || return
    fi
    "${as_owner[@]}" tee "$data/mariadb.sql" >/dev/null < <(mariadb_user) &&
        launch mariadb mariadbd --no-defaults --datadir="$data/mariadb" --init-file="$data/mariadb.sql" "${settings[@]}"
}

# Rights over the data of every database, as PostgreSQL gives with CREATEDB, and over users, to whom tests grant less;
# none over the server or its files.
# One statement a line: the server reads it so.
mariadb_user() {
    cat <<END
CREATE DATABASE IF NOT EXISTS etl;
CREATE OR REPLACE USER etl@'127.0.0.1' IDENTIFIED BY '$(<"$services/mariadb.password")';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES, CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, TRIGGER, EVENT, CREATE USER ON *.* TO etl@'127.0.0.1' WITH GRANT OPTION;
END
}

answers_mariadb() {
    MYSQL_PWD=$(<"$services/mariadb.password") mariadb --no-defaults --protocol=tcp --host=127.0.0.1 \
        --port="$(port_of mariadb)" --user=etl --connect-timeout=2 --execute='SELECT 1' etl
}

# In a session of its own, since a Ctrl-C at the terminal is not for the server, and with nothing of what the caller has
# open: a lock, like the one on this file, or a pipe would last as long as the server.
launch() {
    local server=$1 open
    shift
    (
        for open in /proc/self/fd/*; do
            open=${open##*/}
            if ((open > 2)); then exec {open}>&-; fi
        done
        exec setsid "${as_owner[@]}" "$@"
    ) </dev/null >>"$services/$server.log" 2>&1 &
    identity "$!" >"$services/$server.pid"
}

start() {
    local server=$1 log=$services/$1.log port
    port=$(choose_port "$server")
    echo "$port" >"$services/$server.port"
    od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' >"$services/$server.password"
    if [[ ! -d $data/$server ]]; then
        echo "making the data of $server, once ..."
        rm -rf "$data/$server.new"
        "make_$server" "$data/$server.new" >>"$log" 2>&1 || fail "the data of $server could not be made: why is in $log"
        mv "$data/$server.new" "$data/$server"
    fi
    "start_$server" >>"$log" 2>&1 || fail "$server could not be started: why is in $log"
}

wait_until_answers() {
    local server=$1 log=$services/$1.log deadline=$((SECONDS + 60))
    until "answers_$server" >/dev/null 2>&1; do
        if ! is_running "$server"; then fail "$server could not be started: why is in $log"; fi
        if ((SECONDS >= deadline)); then fail "$server did not answer for 60 seconds: why is in $log"; fi
        sleep 0.1
    done
}

# printf is the shell's own: no process has the password among its arguments.
write_env() {
    local server name
    for server in "${servers[@]}"; do
        name=ETL_SPARK_${server^^}
        printf 'export %s=%s\n' "${name}_HOST" 127.0.0.1 "${name}_PORT" "$(port_of "$server")" \
            "${name}_USER" etl "${name}_PASSWORD" "$(<"$services/$server.password")"
    done >"$services/env.new"
    printf 'export %s=%q\n' ETL_SPARK_MARIADB_CERTIFICATE "$data/mariadb/tls.pem" >>"$services/env.new"
    mv "$services/env.new" "$services/env"
}

up() {
    local server said=()
    install
    prepare_folder
    for server in "${servers[@]}"; do
        if is_running "$server"; then
            said+=("$server is running already")
        else
            start "$server"
            said+=("$server is started")
        fi
    done
    for server in "${servers[@]}"; do wait_until_answers "$server"; done
    rm -f "$data/mariadb.sql"
    write_env
    printf '%s\n' "${said[@]}"
    printf 'credentials: source %q\n' "$services/env"
}

status() {
    local server state code=0
    for server in "${servers[@]}"; do
        state=running
        if ! is_running "$server"; then
            state=stopped
            code=3
        fi
        echo "$server: $state, host 127.0.0.1, port $(port_of "$server"), log $services/$server.log"
    done
    return $code
}

down() {
    stop mariadb TERM
    # PostgreSQL, at SIGTERM, would wait until its clients have gone. SIGINT is as clean.
    stop postgresql INT
    rm -f "$services/env"
    if [[ ${1:-} == --purge ]]; then rm -rf "$(readlink -f "$services/data")" "$services"; fi
}

stop() {
    local server=$1 signal=$2 pid end=stopped deadline=$((SECONDS + 30))
    if is_running "$server"; then
        read -r pid _ <"$services/$server.pid"
        kill "-$signal" "$pid"
        while is_running "$server"; do
            if ((SECONDS >= deadline)); then
                kill -KILL "$pid" || true
                end=killed
            fi
            sleep 0.1
        done
        echo "$server is $end"
    else
        echo "$server is not running"
    fi
    rm -f "$services/$server.pid" "$services/$server.password"
}

case "$#:$*" in
    1:up | 1:status | 1:install | 1:down | '2:down --purge') ;;
    *) usage ;;
esac
# One at a time. The lock is on this file, since --purge removes all others.
exec 9<"$root/scripts/services.sh"
if [[ $1 != status ]]; then flock 9; fi
# The servers' user may not enter the caller's folder.
cd /
require_own_folder
"$@"

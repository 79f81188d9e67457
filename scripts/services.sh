#!/usr/bin/env bash
# Servers of this checkout alone, for development and tests: a PostgreSQL, a MariaDB, an S3 (moto's, which keeps all in
# memory), and a stand-in for Redshift before that PostgreSQL and that S3: ./scripts/services.sh up
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

services=$root/.services
servers=(postgresql mariadb s3 redshift)
bucket=etl-spark
# Debian keeps mariadbd where an ordinary user's PATH does not lead.
PATH=$PATH:/usr/sbin
# Nothing here is for others: passwords, logs, data.
umask 077

usage() {
    cat >&2 <<END
usage: ${0##*/} up [SERVER ...]  start them, on the data of last time; credentials: source .services/env
                                SERVER: ${servers[*]}; all, if none is named
       ${0##*/} status           one line per server; exit code 0 if all that were asked for run, else 3
       ${0##*/} down [--purge]   stop all; --purge removes their data too
       ${0##*/} install          only install the databases where they are missing, as \`up\` does first
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

# Whether $1 is among the others.
is_among() {
    local one
    for one in "${@:2}"; do
        if [[ $one == "$1" ]]; then return; fi
    done
    return 1
}

# For these servers. The core packages, since mariadb-server also sets up a server of the system and starts it.
install() {
    local missing=()
    if is_among postgresql "$@" && ! find_postgresql; then missing+=(postgresql); fi
    if is_among mariadb "$@"; then
        if ! command -v mariadb-install-db >/dev/null; then missing+=(mariadb-server-core); fi
        if ! command -v mariadb >/dev/null; then missing+=(mariadb-client-core); fi
        if ! command -v openssl >/dev/null; then missing+=(openssl); fi
    fi
    if ((${#missing[@]} == 0)); then return; fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        fail "not on this machine: ${missing[*]}: install these packages (their names in Debian and Ubuntu)"
    fi
    install_without_cluster "${missing[@]}"
    if is_among postgresql "$@" && ! find_postgresql; then
        fail "there is no PostgreSQL in /usr/lib/postgresql, although its package is installed"
    fi
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

prepare_folder() {
    mkdir -p "$services" 2>/dev/null || fail "cannot write to $root: the checkout must be in a folder of your own"
    if [[ ! -e $services/inode ]]; then stat -c %i "$services" >"$services/inode"; fi
}

# No database runs as root. Where root calls, both run as the user that PostgreSQL's package makes. It may not be able
# to enter the checkout, so the data are in a folder of its own in /var/tmp, and .services/data is a link to that.
# Of the caller's environment they get PATH only: a TMPDIR may be closed to them, and PG... would change what they do.
prepare_data() {
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
# Nothing where it has ended, also if nobody waits for it (state Z), as in a container with no init. It is in that state
# as soon as its first thread has ended, and has its port until the others have, a moment later.
identity() {
    local stat fields
    while stat=$(cat "/proc/$1/stat" 2>/dev/null); do
        read -ra fields <<<"${stat##*) }"
        if [[ ${fields[0]} != [ZX] ]]; then
            echo "$1 ${fields[19]} $(</proc/sys/kernel/random/boot_id)"
            return
        fi
        if ((fields[17] <= 1)); then return; fi
        sleep 0.01
    done
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
    local port
    local -A first=([s3]=10000 [redshift]=15000 [postgresql]=20000 [mariadb]=26000)
    port=$(port_of "$1")
    until [[ $port != none ]] && ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((first[$1] + RANDOM % 5000))
    done
    echo "$port"
}

make_postgresql() {
    # C.UTF-8 orders by code point, as Redshift and Spark do.
    "${as_owner[@]}" "$postgresql/initdb" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --auth=reject \
        --no-sync "$1" &&
        alone "$1" template1 < <(keys_taken_for_granted) &&
        alone "$1" postgres <<<$'CREATE ROLE etl LOGIN\nCREATE DATABASE etl OWNER etl'
}

# In every database: the keys of a table that is made by way of the stand-in for Redshift are not enforced, as there.
# One statement a line: the server reads it so.
keys_taken_for_granted() {
    cat <<'END'
CREATE FUNCTION take_keys_for_granted() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$ BEGIN IF current_setting('redshift.stand_in', true) = 'on' THEN UPDATE pg_index SET indisunique = false WHERE indisunique AND indexrelid IN (SELECT conindid FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid IN (SELECT objid FROM pg_event_trigger_ddl_commands())); END IF; END $$
CREATE EVENT TRIGGER take_keys_for_granted ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION take_keys_for_granted()
END
}

# Statements from standard input, one a line, in the database $2 of the data $1 while no server runs: so no superuser
# needs a password. None is logged: one has the password of etl.
alone() {
    local settings=(-c fsync=off -c exit_on_error=on -c log_min_error_statement=panic)
    "${as_owner[@]}" "$postgresql/postgres" --single -D "$1" "${settings[@]}" "$2"
}

# As with MariaDB: rights over databases, and over users, to whom tests grant less. Whoever may make users may, in
# PostgreSQL 15, also let them read the server's files: the password is all that keeps others from that.
postgresql_user() {
    printf "ALTER ROLE etl CREATEDB CREATEROLE PASSWORD '%s'\n" "$(<"$services/postgresql.password")"
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
    # Only over the loopback, and only with a password, is anybody let in; the superuser has none.
    "${as_owner[@]}" tee "$data/postgresql/pg_hba.conf" <<<'host all all 127.0.0.1/32 scram-sha-256' || return
    until alone "$data/postgresql" postgres < <(postgresql_user); do
        # The last processes of a server that was killed take a moment to notice.
        if ((SECONDS >= deadline)) || ! tail -n 2 "$log" | grep -q 'is still in use'; then return 1; fi
        sleep 0.1
    done
    launch postgresql "${as_owner[@]}" "$postgresql/postgres" -D "$data/postgresql" "${settings[@]}"
}

answers_postgresql() {
    answers_psql "$(port_of postgresql)"
}

answers_psql() {
    (
        unset "${!PG@}"
        PGPASSWORD=$(<"$services/postgresql.password") PGCONNECT_TIMEOUT=2 \
            "$postgresql/psql" -X -h 127.0.0.1 -p "$1" -U etl -c 'SELECT 1' etl
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
        launch mariadb "${as_owner[@]}" mariadbd --no-defaults --datadir="$data/mariadb" \
            --init-file="$data/mariadb.sql" "${settings[@]}"
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

# The Python that the servers written in it run with: SERVICES_PYTHON, or the one of the checkout's environment.
find_services_python() {
    python=${SERVICES_PYTHON:-}
    if [[ -z $python ]]; then
        # Others may read the environment, as if test.sh had made it.
        (umask 022 && prepare_venv .venv spark-4.0.txt spark,generate,aws,test)
        python=$root/.venv/bin/python
    fi
    is_python "$python" || fail "$python is no Python 3.11 or newer"
}

start_s3() {
    launch_python s3 -m moto.server -H 127.0.0.1 -p "$(port_of s3)"
}

# What makes the bucket says whether it is there.
answers_s3() {
    local port
    port=$(port_of s3)
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf '%s\r\n' "PUT /$bucket HTTP/1.1" "Host: 127.0.0.1:$port" 'Content-Length: 0' 'Connection: close' '' >&3
        read -r -t 2 answer <&3
        [[ $answer == HTTP/*' 200 '* ]]
    )
}

start_redshift() {
    launch_python redshift "$root/scripts/redshift_stand_in.py" --port "$(port_of redshift)" \
        --postgresql "127.0.0.1:$(port_of postgresql)" --s3 "http://127.0.0.1:$(port_of s3)"
}

answers_redshift() {
    answers_psql "$(port_of redshift)"
}

# As the caller, root or not: postgres may not be able to read the checkout. Of the caller's environment it gets PATH
# only, and the credentials of the S3; not by way of env, among whose arguments everybody could read them.
launch_python() {
    local server=$1 name
    shift
    (
        for name in $(compgen -e); do export -n "${name?}"; done
        export PATH LC_ALL=C.UTF-8 AWS_ACCESS_KEY_ID=etl AWS_SECRET_ACCESS_KEY
        AWS_SECRET_ACCESS_KEY=$(<"$services/s3.password")
        launch "$server" "$python" "$@"
    )
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
        exec setsid "$@"
    ) </dev/null >>"$services/$server.log" 2>&1 &
    identity "$!" >"$services/$server.pid"
}

start() {
    local server=$1 log=$services/$1.log port
    port=$(choose_port "$server")
    echo "$port" >"$services/$server.port"
    # The password of the stand-in is PostgreSQL's.
    if [[ $server != redshift ]]; then
        od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' >"$services/$server.password"
    fi
    if declare -F "make_$server" >/dev/null && [[ ! -d $data/$server ]]; then
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
    local server name password
    for server in "${servers[@]}"; do
        if [[ ! -e $services/$server.pid ]]; then continue; fi
        name=ETL_SPARK_${server^^} password=$services/${server/redshift/postgresql}.password
        printf 'export %s=%s\n' "${name}_HOST" 127.0.0.1 "${name}_PORT" "$(port_of "$server")" \
            "${name}_USER" etl "${name}_PASSWORD" "$(<"$password")"
        if [[ $server == mariadb ]]; then
            printf 'export %s=%q\n' "${name}_CERTIFICATE" "$(readlink -f "$services/data")/mariadb/tls.pem"
        fi
    done >"$services/env.new"
    mv "$services/env.new" "$services/env"
}

up() {
    local server wanted=("$@") said=()
    if (($# == 0)); then wanted=("${servers[@]}"); fi
    # The stand-in knows its servers by their ports, and the S3 by its password of that time: it starts anew with them.
    for server in postgresql s3; do
        if is_running redshift && is_among "$server" "${wanted[@]}" && ! is_running "$server"; then
            stop redshift TERM >/dev/null
            wanted+=(redshift)
        fi
    done
    if is_among redshift "${wanted[@]}"; then wanted+=(postgresql s3); fi
    install "${wanted[@]}"
    prepare_folder
    if is_among postgresql "${wanted[@]}" || is_among mariadb "${wanted[@]}"; then prepare_data; fi
    if is_among s3 "${wanted[@]}"; then find_services_python; fi
    for server in "${servers[@]}"; do
        if ! is_among "$server" "${wanted[@]}"; then continue; fi
        if is_running "$server"; then
            said+=("$server is running already")
        else
            start "$server"
            said+=("$server is started")
        fi
    done
    for server in "${servers[@]}"; do
        if is_among "$server" "${wanted[@]}"; then wait_until_answers "$server"; fi
    done
    rm -f "$services/data/mariadb.sql"
    write_env
    printf '%s\n' "${said[@]}"
    printf 'credentials: source %q\n' "$services/env"
}

# A server counts once it was asked for: it has a port then. Where none was, none runs.
status() {
    local server state code=0 asked=no
    for server in "${servers[@]}"; do
        if [[ ! -e $services/$server.port ]]; then
            echo "$server: never started"
            continue
        fi
        asked=yes state=running
        if ! is_running "$server"; then
            state=stopped
            code=3
        fi
        echo "$server: $state, host 127.0.0.1, port $(port_of "$server"), log $services/$server.log"
    done
    if [[ $asked == no ]]; then code=3; fi
    return $code
}

down() {
    stop redshift TERM
    stop s3 TERM
    stop mariadb TERM
    # PostgreSQL, at SIGTERM, would wait until its clients have gone. SIGINT is as clean.
    stop postgresql INT
    rm -f "$services/env"
    if [[ ${1:-} == --purge ]]; then rm -rf "$(readlink -f "$services/data")" "$services"; fi
}

stop() {
    local server=$1 signal=$2 pid end=stopped deadline=$((SECONDS + 30))
    if [[ ! -e $services/$server.port ]]; then return; fi
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

case ${1:-} in
    up) for server in "${@:2}"; do is_among "$server" "${servers[@]}" || usage; done ;;
    down) [[ $* == down || $* == 'down --purge' ]] || usage ;;
    status | install) (($# == 1)) || usage ;;
    *) usage ;;
esac
# One at a time. The lock is on this file, since --purge removes all others.
exec 9<"$root/scripts/services.sh"
if [[ $1 != status ]]; then flock 9; fi
if [[ ${SERVICES_PYTHON:-} == [!/]*/* ]]; then SERVICES_PYTHON=$PWD/$SERVICES_PYTHON; fi
# The servers' user may not enter the caller's folder.
cd /
require_own_folder
if [[ $1 == install ]]; then set -- "$@" "${servers[@]}"; fi
"$@"

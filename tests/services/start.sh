# PostgreSQL and Redis for a test, to be sourced by bash: `with_services COMMAND...` runs a command with both at hand.
#
# They come from the packages of the system, listen on free ports of loopback, keep everything in one temporary
# directory, and stop when the command ends, however it ends; what else runs on the machine is not touched. Where
# TEST_POSTGRES_URL or TEST_REDIS_URL is set already, that one is used and nothing is started in its place.

# Runs a command with TEST_POSTGRES_URL and TEST_REDIS_URL in its environment. It has a shell of its own, so that the
# traps are nobody else's.
with_services() (
    scratch=$(mktemp -d) || exit
    postgres_data=
    redis_pid=
    trap stop_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # PostgreSQL has another user and a directory of its own in here.
    chmod 711 "$scratch" &&
        { [[ -n ${TEST_POSTGRES_URL-} ]] || start_postgres; } &&
        { [[ -n ${TEST_REDIS_URL-} ]] || start_redis; } &&
        "$@"
)

# The directory of PostgreSQL's programs, which Debian keeps off the path; nothing without a server.
postgres_programs() {
    local initdb
    initdb=$(find /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort --version-sort | tail -n 1)
    dirname -- "${initdb:-$(command -v initdb)}" 2>/dev/null
}

start_postgres() {
    local data=$scratch/postgres programs
    programs=$(postgres_programs) && mkdir -- "$data" || return
    as_postgres=()
    if ((EUID == 0)); then
        # It refuses to run as root. Its own user comes with Debian's package.
        local user=postgres
        id --user postgres >/dev/null 2>&1 || user=nobody
        chown "$user" "$data" && as_postgres=(runuser --user "$user" --) || return
    fi
    # A collation of people's languages, as many databases have one: what has to be in the order of bytes must say so.
    (cd / && "${as_postgres[@]}" "$programs/initdb" --pgdata "$data" --username warden --auth trust --encoding UTF8 \
        --locale-provider icu --icu-locale en-US --no-sync) >"$scratch/initdb.log" 2>&1 ||
        { cat -- "$scratch/initdb.log" >&2 && return 1; }
    postgres_data=$data
    postgres_control=("${as_postgres[@]}" "$programs/pg_ctl" --pgdata "$data" --wait --silent)
    local port
    for _ in 1 2 3 4 5; do
        port=$((10240 + RANDOM % 20000))
        if (cd / && "${postgres_control[@]}" --log "$data/server.log" --options "-c listen_addresses=127.0.0.1 \
            -c port=$port -c unix_socket_directories='' -c fsync=off -c max_connections=200" start); then
            export TEST_POSTGRES_URL=postgres://warden@127.0.0.1:$port/postgres
            return 0
        fi
    done
    cat -- "$data/server.log" >&2
    printf 'PostgreSQL did not start\n' >&2
    return 1
}

start_redis() {
    local data=$scratch/redis port
    mkdir -- "$data" || return
    for _ in 1 2 3 4 5; do
        port=$((10240 + RANDOM % 20000))
        redis-server --bind 127.0.0.1 --port "$port" --dir "$data" --save '' --appendonly yes \
            --maxmemory-policy noeviction >"$data/server.log" 2>&1 &
        redis_pid=$!
        for ((tick = 0; tick < 50; tick++)); do
            kill -0 "$redis_pid" 2>/dev/null || break
            # It says so once it listens; another's server on that port would not write here.
            if grep --quiet --no-messages 'Ready to accept connections' "$data/server.log"; then
                export TEST_REDIS_URL=redis://127.0.0.1:$port/
                return 0
            fi
            sleep 0.1
        done
        stop_redis
    done
    cat -- "$data/server.log" >&2
    printf 'Redis did not start\n' >&2
    return 1
}

stop_redis() {
    if [[ -n $redis_pid ]]; then
        # It may have ended before, by the same signal as we.
        kill "$redis_pid" 2>/dev/null || true
        wait "$redis_pid" 2>/dev/null || true
        redis_pid=
    fi
}

# Ends what was started here, and nothing else: PostgreSQL by the process that its directory names, Redis by its own.
stop_services() {
    local status=$?
    stop_redis
    if [[ -n $postgres_data && -e $postgres_data/postmaster.pid ]]; then
        (cd / && "${postgres_control[@]}" --mode immediate stop) || printf 'PostgreSQL in %s did not stop\n' "$postgres_data" >&2
    fi
    rm -rf -- "$scratch"
    exit "$status"
}

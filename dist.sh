#!/usr/bin/env bash
# Makes one static binary of the command `policy`, and a container image with nothing else in it, in dist/.
# `./dist.sh BINARY` makes the image of a binary that is there already.
set -euo pipefail
cd "$(dirname "$0")"

arch=$(uname -m)
target=$arch-unknown-linux-musl
case $arch in
    x86_64) platform=amd64 ;;
    aarch64) platform=arm64 ;;
    *) echo "dist.sh: there is no image for $arch" >&2; exit 2 ;;
esac

missing() {
    printf 'dist.sh needs %s: %s\n' "$1" "$2" >&2
    exit 2
}

binary=${1:-}
if [ -z "$binary" ]; then
    command -v cargo >/dev/null || missing cargo "install Rust with rustup"
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || missing "the target $target" "rustup target add $target"
    # SQLite and the ciphers are C.
    [ -n "$(printenv "CC_${target//-/_}" || true)" ] || command -v musl-gcc >/dev/null || missing musl-gcc "apt-get install musl-tools"
    cargo build --release --locked -p policy-runtime --features cli --bin policy --target "$target"
    binary=${CARGO_TARGET_DIR:-target}/$target/release/policy
fi
if command -v ldd >/dev/null && ldd "$binary" >/dev/null 2>&1 && ! ldd "$binary" 2>&1 | grep -q 'statically linked'; then
    missing "a static binary" "$binary loads libraries, and an image has none"
fi

rm -rf dist
mkdir -p dist/image/blobs/sha256 dist/root/data
install -m 755 "$binary" dist/policy
cp dist/policy dist/root/policy

# Puts a file among the blobs, by its digest, and says its descriptor.
blob() {
    local digest size
    digest=$(sha256sum "$2" | cut -d' ' -f1)
    size=$(stat -c %s "$2")
    mv "$2" "dist/image/blobs/sha256/$digest"
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' "$1" "$digest" "$size"
}

# The same binary makes the same image.
tar --sort=name --mtime=@0 --owner=65532 --group=65532 --numeric-owner -cf dist/layer.tar -C dist/root .
content=$(sha256sum dist/layer.tar | cut -d' ' -f1)
gzip -n dist/layer.tar
layer=$(blob layer.v1.tar+gzip dist/layer.tar.gz)
cat >dist/config.json <<END
{"architecture":"$platform","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:$content"]},
"config":{"User":"65532:65532","WorkingDir":"/data","Entrypoint":["/policy"],"Cmd":["serve"],"ExposedPorts":{"58503/tcp":{}},
"Volumes":{"/data":{}},"Env":["POLICY_LISTEN=0.0.0.0:58503","POLICY_DATABASE_URL=sqlite:policy.db"]}}
END
config=$(blob config.v1+json dist/config.json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$config" "$layer" >dist/manifest.json
manifest=$(blob manifest.v1+json dist/manifest.json)
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"policy:latest","io.containerd.image.name":"docker.io/library/policy:latest"}}]}' \
    "${manifest%\}}" >dist/image/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >dist/image/oci-layout
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf dist/policy-image.tar -C dist/image .
rm -rf dist/image dist/root

ls -l dist
echo "next: docker load -i dist/policy-image.tar, then docker run -v policy:/data -p 58503:58503 policy serve"

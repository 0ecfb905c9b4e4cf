#!/usr/bin/env bash
# Runs a command that builds the Dockerfile, on a machine that may have no registry to pull from.
#
#   .ci/base-images.sh COMMAND...
#
# Where the images that the Dockerfile starts from cannot be pulled, this makes replacements of the same
# names from the machine's own distribution and Rust toolchain, so that the same file is built and run.
# They carry a label, and a note names them in every run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
# shellcheck source=build/common.sh
. build/common.sh

LABEL=ngx-token-auth.stand-in

main() {
    if have docker && docker version >/dev/null 2>&1; then
        RUST_IMAGE=${RUST_IMAGE:-$(dockerfile_default RUST_IMAGE)}
        NGINX_IMAGE=${NGINX_IMAGE:-$(dockerfile_default NGINX_IMAGE)}
        DEBIAN_IMAGE=${DEBIAN_IMAGE:-debian:bookworm-slim}
        export RUST_IMAGE NGINX_IMAGE DEBIAN_IMAGE
        base_images
    fi
    "$@"
}

dockerfile_default() { sed -n "s/^ARG $1=//p" Dockerfile; }

base_images() {
    local image stand_in=0
    step "base images"
    for image in "$RUST_IMAGE" "$NGINX_IMAGE" "$DEBIAN_IMAGE"; do
        pull "$image" || stand_in=1
        [[ -z $(stand_in_of "$image") ]] || stand_in=1
    done
    ((stand_in)) || return 0
    if ! on_debian || ((EUID)); then
        die "the base images cannot be pulled, and replacements are made as root on Debian or Ubuntu only"
    fi
    setup_rust
    stand_in_rust
    stand_in_debian "$NGINX_IMAGE" nginx
    stand_in_debian "$DEBIAN_IMAGE"
    # The containers of such a machine often have no way out but the host's own.
    export DOCKER_BUILD_NETWORK=${DOCKER_BUILD_NETWORK:-host}
    note "$RUST_IMAGE, $NGINX_IMAGE and $DEBIAN_IMAGE are replacements made on this machine, not the
      official images; docker image rm has them pulled the next time"
}

# A machine without a registry says so at once or not at all, hence the short probe.
pull() { # IMAGE
    ! docker image inspect "$1" >/dev/null 2>&1 || return 0
    say "pulling $1"
    if ! timeout 30 docker manifest inspect "$1" >/dev/null 2>&1 || ! timeout 900 docker pull -q "$1"; then
        say "  it cannot be pulled from here"
        return 1
    fi
}

# What a replacement was made of; nothing for a real image.
stand_in_of() { # IMAGE
    docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null | grep -v '^<no value>$' || true
}

# Whether IMAGE has to be made: a real one is never replaced.
stand_in_wanted() { # IMAGE CONTENTS
    ! docker image inspect "$1" >/dev/null 2>&1 || {
        [[ -n $(stand_in_of "$1") && $(stand_in_of "$1") != "$2" ]]
    }
}

# Only the toolchain is copied out of this image, so that is all there is in it: at the places
# where the official image has it, with links in place of rustup.
stand_in_rust() {
    local contents sysroot root=$SCRATCH/rust bin
    sysroot=$(rustc --print sysroot)
    contents=$(rustc --version)$(cargo_config | cksum)
    stand_in_wanted "$RUST_IMAGE" "$contents" || return 0
    say "making a replacement for $RUST_IMAGE: $(rustc --version)"
    mkdir -p "$root/usr/local/rustup/toolchains" "$root/usr/local/cargo/bin"
    mkdir "$root/usr/local/rustup/toolchains/local"
    # The documentation is more than half of a toolchain.
    tar -C "$sysroot" --exclude=./share --exclude=./lib/rustlib/src -c . |
        tar -C "$root/usr/local/rustup/toolchains/local" -x
    for bin in cargo rustc; do
        ln -s "../../rustup/toolchains/local/bin/$bin" "$root/usr/local/cargo/bin/$bin"
    done
    # A mirror that this machine's cargo is set up with.
    cargo_config >"$root/usr/local/cargo/config.toml"
    tar -C "$root" -c . | docker import -c "LABEL $LABEL=\"$contents\"" - "$RUST_IMAGE" >/dev/null ||
        die "docker import failed; see above"
    rm -rf "$root"
}

# What this machine's cargo is told of registries and the network, and nothing else of its
# settings: a linker or a wrapper of this machine is not in the image.
cargo_config() {
    local home=${CARGO_HOME:-$HOME/.cargo} file
    for file in "$home/config.toml" "$home/config"; do
        [[ -f $file ]] || continue
        awk '/^ *\[/ {keep = /^ *\[ *"?(source|registry|registries|http|net)[]. "]/} keep && !/token|cainfo/' "$file"
        break
    done
}

# The variables that lead cargo, curl and apt to the outside from here, as Dockerfile instructions.
network_env() {
    local name
    for name in $(compgen -e | grep -E '^(CARGO_(REGISTRIES|REGISTRY|SOURCE|HTTP|NET)_.*|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY)$' || true); do
        # What a path points at is not in the image, and secrets do not go into one.
        [[ ${!name} == /* || $name == *TOKEN* ]] || printf 'ENV %s="%s"\n' "$name" "${!name}"
    done
}

# This machine's distribution, with its own nginx if a second argument says so.
stand_in_debian() { # IMAGE [nginx]
    local image=$1 nginx=${2:-} contents codename mirror root=$SCRATCH/root changes=() line
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    contents="$codename $nginx $(network_env | cksum)"
    stand_in_wanted "$image" "$contents" || return 0
    say "making a replacement for $image: $codename${nginx:+ with its own nginx}"
    have debootstrap || apt_install debootstrap || die "installing debootstrap failed; see above"
    apt_sources "$codename" >"$SCRATCH/sources"
    [[ -s $SCRATCH/sources ]] || apt_update
    apt_sources "$codename" >"$SCRATCH/sources"
    mirror=$(awk -v c="$codename" '$3 == c {print $2; exit}' "$SCRATCH/sources")
    [[ -n $mirror ]] || die "apt is set up with no mirror for $codename, so no replacement can be made"
    quietly debootstrap debootstrap --variant=minbase --include="ca-certificates${nginx:+,$nginx}" "$codename" "$root" "$mirror" ||
        die "no replacement for $image; see above"

    # How this machine's apt and TLS reach the outside, so that the build inside does too.
    cp "$SCRATCH/sources" "$root/etc/apt/sources.list"
    apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Retries)' >"$root/etc/apt/apt.conf.d/90machine" || true
    if [[ -s /etc/ssl/certs/ca-certificates.crt ]]; then
        cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/machine.crt"
        quietly update-ca-certificates chroot "$root" update-ca-certificates || true
    fi
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

    changes=(-c "LABEL $LABEL=\"$contents\"")
    # As the official image has it.
    [[ -z $nginx ]] || changes+=(-c 'CMD ["nginx","-g","daemon off;"]' -c 'EXPOSE 80'
        -c "ENV NGINX_VERSION=$(chroot "$root" nginx -v 2>&1 | sed 's|.*/||')")
    while IFS= read -r line; do
        [[ -z $line ]] || changes+=(-c "$line")
    done < <(network_env)
    tar -C "$root" -c . | docker import "${changes[@]}" - "$image" >/dev/null ||
        die "docker import failed; see above"
    rm -rf "$root"
}

# The distribution's own lines of this machine's package sources, in the old one-line form.
apt_sources() { # CODENAME
    # shellcheck disable=SC2016 # these are apt's, not the shell's
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v c="$1" '$2 == c || $2 == c "-updates" || $2 == c "-security" {print "deb", $1, $2, $3}' | sort -u
}

main "$@"

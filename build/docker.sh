# shellcheck shell=bash
# docker-test: the Dockerfile built, run, and driven from outside.
#
# Where the images that the Dockerfile starts from cannot be pulled, stand-ins of the same names
# are made from this machine's own distribution and Rust toolchain, so that the same file is
# built and run. They carry a label and are told of every time.

DOCKER_TAG=ngx-token-auth:test
STAND_IN_LABEL=ngx-token-auth.stand-in
BUILD_ARGS=()

verb_docker_test() {
    local started=$SECONDS minter server base status=0
    if ! have docker || ! docker version >/dev/null 2>&1; then
        note "no Docker engine runs here: docker-test did not run"
        return 0
    fi
    setup_curl
    RUST_IMAGE=${RUST_IMAGE:-$(dockerfile_default RUST_IMAGE)}
    NGINX_IMAGE=${NGINX_IMAGE:-$(dockerfile_default NGINX_IMAGE)}
    BUILD_ARGS=(--build-arg "RUST_IMAGE=$RUST_IMAGE" --build-arg "NGINX_IMAGE=$NGINX_IMAGE")
    base_images

    step "docker build (some minutes)"
    build_image builder "$DOCKER_TAG-builder"
    build_image "" "$DOCKER_TAG"
    check_image

    step "docker run"
    # tokenctl and the demo's private key are only in the builder stage.
    minter=$(docker run -d --network=none --entrypoint sleep "$DOCKER_TAG-builder" 900)
    ON_EXIT+=("quiet_rm $minter")
    TOKENCTL=(docker exec -i "$minter" /src/dist/tokenctl)
    DEMO_KEYS=/private/demo
    read_key() { docker exec -i "$minter" cat "$1" </dev/null; }
    run_image
    drive "$base" || status=$?
    docker logs "$server" >"$SCRATCH/docker.log" 2>&1
    check_log "$SCRATCH/docker.log" || status=1
    quiet_rm "$minter"
    quiet_rm "$server"
    ((status == 0)) || die "the image did not answer as it should; see above"
    step "docker-test passed in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
}

quiet_rm() { docker rm -f "$1" >/dev/null 2>&1 || true; }

dockerfile_default() { sed -n "s/^ARG $1=//p" Dockerfile; }

# The image that the tag had before would stay behind without a name, gigabytes each time.
build_image() { # STAGE TAG
    local before after
    before=$(docker image inspect -f '{{.Id}}' "$2" 2>/dev/null || true)
    docker build "${BUILD_ARGS[@]}" ${1:+--target "$1"} -t "$2" . </dev/null ||
        die "docker build failed; see above"
    after=$(docker image inspect -f '{{.Id}}' "$2")
    [[ -z $before || $before == "$after" ]] || docker image rm "$before" >/dev/null 2>&1 || true
}

# Nothing but the module, the configuration and the pages may have come on top of plain nginx.
check_image() {
    local id extra
    id=$(docker create "$DOCKER_TAG")
    docker export "$id" | tar -t | LC_ALL=C sort >"$SCRATCH/ours"
    quiet_rm "$id"
    id=$(docker create "$NGINX_IMAGE")
    docker export "$id" | tar -t | LC_ALL=C sort >"$SCRATCH/plain"
    quiet_rm "$id"
    extra=$(LC_ALL=C comm -23 "$SCRATCH/ours" "$SCRATCH/plain" | grep -v '/$' || true)
    say "files that the image adds to $NGINX_IMAGE:"
    sed 's/^/  \//' <<<"$extra"
    if grep -vE "(^|/)($MODULE_NAME|nginx\.conf|demo/azion-args\.json|demo/keys\.json|html/.*)$" <<<"$extra"; then
        die "the image holds something that is neither module nor demo; see the line above"
    fi
}

# Sets server and base of verb_docker_test. A published port is the plain way; where the engine
# has no bridge to publish on, nginx gets the host's network and another port.
run_image() {
    local port i
    server=$(docker run -d -p 127.0.0.1::80 "$DOCKER_TAG" 2>"$SCRATCH/run") || server=""
    if [[ -n $server ]]; then
        ON_EXIT+=("quiet_rm $server")
        base=http://$(docker port "$server" 80/tcp | head -n 1)
        for ((i = 0; i < 50; i++)); do
            curl -s -m 2 -o /dev/null "$base/" && return
            sleep 0.1
        done
        docker logs "$server" >&2
        [[ $(docker inspect -f '{{.State.Running}}' "$server") == true ]] ||
            die "nginx does not start in the image; its own words are above"
        quiet_rm "$server"
    fi
    note "a published port does not answer with this engine; going on with --network=host"
    for ((port = 20000 + RANDOM % 12000; ; port++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    base=http://127.0.0.1:$port
    server=$(docker run -d --network=host "$DOCKER_TAG" sh -c \
        "sed -i 's/listen 80;/listen 127.0.0.1:$port;/' /etc/nginx/nginx.conf && exec nginx -g 'daemon off;'") ||
        die "docker run failed; see above"
    ON_EXIT+=("quiet_rm $server")
    for ((i = 0; i < 50; i++)); do
        curl -s -m 2 -o /dev/null "$base/" && return
        sleep 0.1
    done
    docker logs "$server" >&2
    die "nginx does not answer in the image; its log is above"
}

# --- base images ------------------------------------------------------------------------------

base_images() {
    local image stand_in=0
    step "base images"
    for image in "$RUST_IMAGE" "$NGINX_IMAGE"; do
        if ! docker image inspect "$image" >/dev/null 2>&1; then
            say "pulling $image"
            # A machine without a registry says so at once or not at all, hence the short probe.
            if ! timeout 30 docker manifest inspect "$image" >/dev/null 2>&1 ||
                ! timeout 900 docker pull -q "$image"; then
                say "  not to be had from here"
                stand_in=1
            fi
        fi
        [[ -z $(stand_in_of "$image") ]] || stand_in=1
    done
    if ((!stand_in)); then
        return
    fi
    on_debian && ((EUID == 0)) ||
        die "the base images cannot be pulled. Stand-ins for them are made on Debian or Ubuntu as root
only; elsewhere docker-test needs a registry."
    setup_rust
    stand_in_rust
    stand_in_nginx
    # The containers of such a machine often have no way out but the host's own.
    BUILD_ARGS+=(--network=host)
    note "$RUST_IMAGE and $NGINX_IMAGE are stand-ins made on this machine, not the official images;
      docker image rm $RUST_IMAGE $NGINX_IMAGE has them pulled the next time"
}

stand_in_of() { # IMAGE: what the stand-in was made of, nothing for a real image
    docker image inspect -f "{{index .Config.Labels \"$STAND_IN_LABEL\"}}" "$1" 2>/dev/null | grep -v '^<no value>$' || true
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
    say "making a stand-in for $RUST_IMAGE: $(rustc --version)"
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
    tar -C "$root" -c . | docker import -c "LABEL $STAND_IN_LABEL=\"$contents\"" - "$RUST_IMAGE" >/dev/null ||
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

stand_in_nginx() {
    local contents codename mirror root=$SCRATCH/root changes=() line uri
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    contents="$codename $(network_env | cksum)"
    stand_in_wanted "$NGINX_IMAGE" "$contents" || return 0
    say "making a stand-in for $NGINX_IMAGE: $codename with its own nginx"
    have debootstrap || apt_install debootstrap || die "installing debootstrap failed; see above"
    apt_sources "$codename" >"$SCRATCH/sources"
    [[ -s $SCRATCH/sources ]] || apt_update
    apt_sources "$codename" >"$SCRATCH/sources"
    mirror=$(awk -v c="$codename" '$3 == c {print $2; exit}' "$SCRATCH/sources")
    [[ -n $mirror ]] || die "apt is set up with no mirror for $codename, so no stand-in can be made"
    quietly debootstrap debootstrap --variant=minbase --include=ca-certificates,nginx "$codename" "$root" "$mirror" ||
        die "no stand-in for $NGINX_IMAGE; see above"

    # How this machine's apt and TLS reach the outside, so that the build inside does too.
    cp "$SCRATCH/sources" "$root/etc/apt/sources.list"
    apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Retries)' >"$root/etc/apt/apt.conf.d/90machine" || true
    if [[ -s /etc/ssl/certs/ca-certificates.crt ]]; then
        cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/machine.crt"
        quietly update-ca-certificates chroot "$root" update-ca-certificates || true
    fi
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

    # As the official image has it.
    changes=(-c 'CMD ["nginx","-g","daemon off;"]' -c 'EXPOSE 80'
        -c "ENV NGINX_VERSION=$(chroot "$root" nginx -v 2>&1 | sed 's|.*/||')"
        -c "LABEL $STAND_IN_LABEL=\"$contents\"")
    while IFS= read -r line; do
        [[ -z $line ]] || changes+=(-c "$line")
    done < <(network_env)
    tar -C "$root" -c . | docker import "${changes[@]}" - "$NGINX_IMAGE" >/dev/null ||
        die "docker import failed; see above"
    rm -rf "$root"
}

# The distribution's own lines of this machine's package sources, in the old one-line form.
apt_sources() { # CODENAME
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v c="$1" '$2 == c || $2 == c "-updates" || $2 == c "-security" {print "deb", $1, $2, $3}' | sort -u
}

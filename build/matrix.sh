# shellcheck shell=bash
# matrix: the integration tests with several versions of nginx, each built from its source.

# What is tried if no version is named.
MATRIX=(1.22.1 1.26.3 1.28.3 1.30.6)
# What the tests use of nginx, and packages have.
MATRIX_ARGS=(--with-compat --with-debug --with-threads --with-http_addition_module --with-http_auth_request_module
    --with-http_realip_module --with-http_slice_module --with-http_ssl_module --with-http_sub_module
    --with-http_v2_module --with-http_secure_link_module --with-stream)

verb_matrix() { # VERSION or FOLDER...
    local one rows=() failed=0 result
    (($#)) || set -- "${MATRIX[@]}"
    setup_rust
    setup_build_packages
    has_header openssl/ssl.h || { can_be_root && apt_install libssl-dev; } || die "OpenSSL's headers are missing"
    setup_cargo_tool cargo-nextest $NEXTEST_VERSION
    setup_oidc
    setup_jose
    PROFILE=dev
    mkdir -p "$CACHE/matrix"
    for one in "$@"; do
        step "nginx $one"
        rm -f "$SCRATCH/nextest" # of the version before
        NGX_VERSION=$one
        [[ ! -d $one ]] || NGX_VERSION=$(source_version "$one")
        if ! (matrix_source "$one") || ! (matrix_nginx); then
            rows+=("| $NGX_VERSION | no source here |")
            continue
        fi
        if (matrix_tests); then
            result=passed
        else
            result="**failed**" failed=1
        fi
        rows+=("| $NGX_VERSION | $result: $(matrix_summary) |")
    done
    step "matrix"
    printf '| nginx | integration tests |\n| --- | --- |\n'
    printf '%s\n' "${rows[@]}"
    ((!failed)) || die "some tests failed; see above"
}

# Leaves the source in CACHE/matrix/VERSION.
matrix_source() { # VERSION or FOLDER
    local dir=$CACHE/matrix/$NGX_VERSION
    [[ ! -f $dir/src/core/nginx.h ]] || return 0
    if [[ -d $1 ]]; then copy_source "$(readlink -f "$1")" "$dir"; else fetch_source "$dir"; fi
}

# Builds it, once.
matrix_nginx() {
    local dir=$CACHE/matrix/$NGX_VERSION script=./configure
    [[ ! -x $dir/objs/nginx ]] || return 0
    [[ -f $dir/configure ]] || script=auto/configure
    say "building nginx $NGX_VERSION"
    cd "$dir" || return
    quietly "nginx's configure" bash $script "${MATRIX_ARGS[@]}" && quietly "make" make -j"$(nproc)"
}

# In a shell of its own, which a failure ends.
matrix_tests() {
    NGX_SRC=$CACHE/matrix/$NGX_VERSION
    NGX_OBJS=$NGX_SRC/objs NGX_BIN=$NGX_SRC/objs/nginx DIST=$ROOT/dist/matrix
    inspect_nginx
    NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
        cargo_build "$(profile_folder)/lib$MODULE_NAME" --profile $PROFILE -p ngx-token-auth
    put "$BUILT" "$DIST/$MODULE_NAME"
    build_tokenctl
    check_loads "$DIST/$MODULE_NAME"
    run_nextest "nginx $NGX_VERSION" -p module-tests
}

matrix_summary() { sed -n 's/.*Summary \[[^]]*\] *//p' "$SCRATCH/nextest" 2>/dev/null | tail -n 1; }

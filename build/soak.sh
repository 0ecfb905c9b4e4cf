# shellcheck shell=bash
# soak: long runs of traffic with reloads (tests/soak).

verb_soak() { # SECONDS, or the number of reloads with --reloads; with --keys or --hostile SECONDS
    local amount=${1:-}
    [[ ${amount:-1} =~ ^[1-9][0-9]*$ ]] || die "soak: $amount is no number"
    if ((ASAN)); then
        ((HOSTILE)) || die "soak: --sanitized is for --hostile"
        setup_sanitized
        check_soak --hostile --no-memory --seconds "${amount:-600}"
        return
    fi
    build_module
    [[ -n $NGX_BIN ]] || die "soak: there is no nginx $NGX_VERSION here to run it with"
    if ((HOSTILE)); then
        check_soak --hostile --seconds "${amount:-600}"
    elif ((KEYS)); then
        check_soak --keys --seconds "${amount:-60}"
    elif ((RELOADS)); then
        check_soak --reloads "${amount:-1000}"
    else
        check_soak --seconds "${amount:-600}"
    fi
}

# What it measures and compares it prints by itself; it fails when anything is not as it should be.
check_soak() { # its arguments; after build_module
    step "building the soak"
    # Fat LTO, which the module wants, would take a minute and a half for nothing here.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo_build release/soak --release -p module-tests --bin soak
    step "soak: nginx $NGX_VERSION, $*"
    NGX_TEST_NGINX=$NGX_BIN NGX_TEST_MODULE=$DIST/$MODULE_NAME "$BUILT" "$@" </dev/null ||
        die "soak failed; see above"
}

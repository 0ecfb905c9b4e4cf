# shellcheck shell=bash
# test: everything that must pass.

NEXTEST_VERSION=0.9.148
DENY_VERSION=0.20.2
SUMMARIES=() # what each round of tests said last, repeated at the end

verb_test() {
    local started=$SECONDS round passed=0 failed=0
    # Two rounds need their settings in their own hands.
    if ((VENDORED)); then
        QUICK=1
    fi
    setup_rust
    setup_curl
    setup_cargo_tool cargo-nextest $NEXTEST_VERSION
    setup_cargo_tool cargo-deny $DENY_VERSION
    setup_oidc

    step "format"
    cargo fmt --all --check || die "not formatted; cargo fmt --all does it"
    check_shell
    check_dependencies

    build_module
    build_tokenctl
    [[ -n $NGX_BIN ]] || die "test: there is no nginx $NGX_VERSION here to run the tests with"
    check_clippy
    step "examples in the documentation of the core"
    cargo test --locked -q -p token --doc
    check_fuzz
    check_cost
    run_nextest "nginx $NGX_VERSION" -p token -p ngx-token-auth -p tokenctl -p bench-driver -p module-tests
    run_demo

    if ((!QUICK)); then
        VENDORED=1 DIST=$ROOT/dist/vendored
        build_module
        put "$ROOT/dist/tokenctl" "$DIST/tokenctl"
        run_nextest "vendored nginx $NGX_VERSION" -p module-tests
        run_demo
    fi

    step "all passed in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
    for round in "${SUMMARIES[@]}"; do
        say "$round"
        passed=$((passed + $(count passed "$round")))
        failed=$((failed + $(count failed "$round")))
    done
    say "tests: $passed passed, $failed failed"
}

count() { grep -o "[0-9]* $1" <<<"$2" | head -n 1 | grep -o '^[0-9]*' || say 0; }

check_shell() {
    step "shell scripts"
    if ! have shellcheck && on_debian && can_be_root; then
        apt_install shellcheck || true
    fi
    if have shellcheck; then
        shellcheck -x build.sh build/instructions.sh build/allocations.sh .ci/run
    else
        note "shellcheck is not installed: the scripts were not checked"
    fi
}

check_dependencies() {
    step "dependencies: licences, sources, bans"
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
    # The list of advisories is a git repository of its own, which not every machine can reach.
    if timeout 120 cargo deny --locked fetch db >"$SCRATCH/advisories" 2>&1 </dev/null; then
        cargo deny --locked check --disable-fetch advisories
    else
        note "the advisory database cannot be reached from here: known vulnerabilities were NOT checked"
    fi
}

check_cost() {
    step "instructions and allocations of a judgement"
    if ! have valgrind && on_debian && can_be_root; then
        apt_install valgrind || true
    fi
    if have valgrind; then
        build/instructions.sh || die "a judgement takes more than it did; see above and build/instructions.sh"
        build/allocations.sh "$NGX_BIN" "$DIST/$MODULE_NAME" "$DIST/tokenctl" ||
            die "a token seen before allocates memory; see above and build/allocations.sh"
    else
        note "valgrind is not installed: instructions and allocations were not counted"
    fi
}

check_clippy() {
    step "clippy"
    if ((VENDORED)); then
        (vendored_env cargo clippy --locked --workspace --all-targets --features vendored -- -D warnings)
    else
        NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
            cargo clippy --locked --workspace --all-targets -- -D warnings
    fi
}

run_nextest() { # NAME, cargo's arguments
    local name=$1 status=0
    shift
    step "tests: $name"
    NGX_TEST_NGINX=$NGX_BIN NGX_TEST_MODULE=$DIST/$MODULE_NAME NGX_TEST_TOKENCTL=$DIST/tokenctl \
        cargo nextest run --locked --no-fail-fast "$@" 2>&1 </dev/null | tee "$SCRATCH/nextest" || status=$?
    ((status == 0)) || die "tests failed; see above"
    SUMMARIES+=("$name: $(grep 'Summary \[' "$SCRATCH/nextest" | tail -n 1 | sed 's/^ *//')")
}

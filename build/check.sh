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
    step "the build itself"
    build/self-test.sh || die "build.sh does not do what it should; see above"
    check_dependencies

    build_module
    build_tokenctl
    [[ -n $NGX_BIN ]] || die "test: there is no nginx $NGX_VERSION here to run the tests with"
    check_clippy
    check_layout
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
        shellcheck -x build.sh build/self-test.sh build/instructions.sh build/allocations.sh .ci/run
    else
        note "shellcheck is not installed: the scripts were not checked"
    fi
}

check_dependencies() {
    step "dependencies: licences, sources, bans"
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
    check_advisories
}

# The list of advisories is a git repository of its own, which not every machine can reach. Where
# CI_ADVISORIES=required is set, what cannot be checked has failed.
check_advisories() {
    if timeout 120 cargo deny --locked fetch db >"$SCRATCH/advisories" 2>&1 </dev/null; then
        cargo deny --locked check --disable-fetch advisories
    elif [[ ${CI_ADVISORIES:-} == required ]]; then
        cat "$SCRATCH/advisories" >&2
        die "the advisory database cannot be reached from here, and CI_ADVISORIES=required is set"
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

# A module that was built with a flag more in ngx_connection_t than its nginx has, as Debian's 1.22.1 and
# the release of that version differ: version and signature are the same, and it must not be loaded.
check_layout() {
    local other=$ROOT/target/other-headers built
    ((!VENDORED)) || return 0
    step "a module built with the headers of another nginx"
    rm -rf "$other"
    cp -rL "$NGX_SRC" "$other"
    [[ -d $other/objs ]] || cp -rL "$NGX_OBJS" "$other/objs"
    sed -i 's/^\( *unsigned  *\)idle:1;/\1other:1;\n&/' "$other/src/core/ngx_connection.h"
    grep -q 'other:1;' "$other/src/core/ngx_connection.h" || die "ngx_connection.h has no flag \"idle\" any more"
    NGINX_SOURCE_DIR=$other NGINX_BUILD_DIR=$other/objs cargo_json build --locked -p ngx-token-auth
    built=$(built_file "lib$MODULE_NAME")
    mv "$built" "$SCRATCH/other.so" # nobody is to find it where the good one belongs
    if (check_loads "$SCRATCH/other.so") 2>"$SCRATCH/layout" ||
        ! grep -q 'built with the headers of another nginx' "$SCRATCH/layout"; then
        cat "$SCRATCH/layout" >&2
        die "nginx loads a module that was built with other headers, or refuses it for another reason"
    fi
    grep '\[emerg\]' "$SCRATCH/layout"
}

run_nextest() { # NAME, cargo's arguments
    local name=$1 status=0
    shift
    step "tests: $name"
    NGX_TEST_NGINX=$NGX_BIN NGX_TEST_MODULE=$DIST/$MODULE_NAME NGX_TEST_TOKENCTL=$DIST/tokenctl \
        NGX_TEST_SOURCE=$NGX_SRC NGX_TEST_OBJS=$NGX_OBJS \
        cargo nextest run --locked --no-fail-fast "$@" 2>&1 </dev/null | tee "$SCRATCH/nextest" || status=$?
    ((status == 0)) || die "tests failed; see above"
    SUMMARIES+=("$name: $(grep 'Summary \[' "$SCRATCH/nextest" | tail -n 1 | sed 's/^ *//')")
}

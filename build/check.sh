# shellcheck shell=bash
# test: everything that must pass.

NEXTEST_VERSION=0.9.148
DENY_VERSION=0.20.2
OIDC_VERSION=0.3.4
# Other implementations of JOSE, which verify what the module signs.
JOSE_PACKAGES=(pyjwt==2.15.1 jwcrypto==1.6.1 joserfc==1.8.0)
SUMMARIES=() # what each round of tests said last, repeated at the end
TESTED=(-p token -p ngx-token-auth -p tokenctl -p bench-driver -p xtask -p module-tests)

verb_test() {
    local started=$SECONDS round passed=0 failed=0
    # The second round would be the same as the first.
    if ((VENDORED)); then
        QUICK=1
    fi
    setup_rust
    setup_curl
    setup_cargo_tool cargo-nextest $NEXTEST_VERSION
    setup_cargo_tool cargo-deny $DENY_VERSION
    setup_oidc
    setup_jose
    setup_promtool
    setup_chromium
    setup_ffmpeg

    step "format"
    cargo fmt --all --check || die "not formatted; cargo fmt --all does it"
    check_shell
    step "the build itself"
    build/self-test.sh || die "build.sh does not do what it should; see above"
    check_dependencies
    check_monitoring

    build_module
    build_tokenctl
    [[ -n $NGX_BIN ]] || die "test: there is no nginx $NGX_VERSION here to run the tests with"
    check_clippy
    check_layout
    step "examples in the documentation of the core"
    cargo test --locked -q -p token --doc
    check_fuzz
    check_cost
    run_nextest "nginx $NGX_VERSION" "${TESTED[@]}"
    run_demo

    if ((!QUICK)); then
        # The first round has tested what the optimiser makes. This one also finds overflows, and its build shares
        # most of what is there.
        VENDORED=1 DIST=$ROOT/dist/vendored PROFILE=dev
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

# Some tests by name. With the dev profile a change of the module is built in seconds; the folder in dist/
# is another, so that nobody installs what came out of it.
verb_test_named() { # NAME...
    PROFILE=dev DIST=$ROOT/dist/dev
    setup_rust
    setup_cargo_tool cargo-nextest $NEXTEST_VERSION
    setup_oidc
    setup_jose
    setup_promtool
    setup_chromium
    setup_ffmpeg
    build_module
    build_tokenctl
    [[ -n $NGX_BIN ]] || die "test: there is no nginx $NGX_VERSION here to run the tests with"
    say "the module under test is ${DIST#"$ROOT"/}/$MODULE_NAME, of the dev profile"
    # The same packages as ever: with others, cargo would build what they share in another way.
    run_nextest "nginx $NGX_VERSION, $*" "${TESTED[@]}" --no-tests fail -- "$@"
}

# A real OpenID Connect server, whose command is NGX_TEST_OIDC. Where it cannot be installed that is
# empty; its test then passes without it, and says so.
setup_oidc() {
    local folder=$TARGET/oidc
    export NGX_TEST_OIDC=$folder/bin/oidc-provider-mock
    python_tool "$folder" "${NGX_TEST_OIDC##*/}" "oidc-provider-mock==$OIDC_VERSION" 'authlib<2' && return
    NGX_TEST_OIDC=""
    note "the OpenID Connect server cannot be installed here: the tests key_requests::oidc do nothing"
}

# A Python with other implementations of JOSE, which is NGX_TEST_JOSE. Empty where they cannot be installed;
# their test then passes without them, and says so.
setup_jose() {
    local folder=$TARGET/jose
    export NGX_TEST_JOSE=$folder/bin/python
    python_tool "$folder" python "${JOSE_PACKAGES[@]}" && return
    NGX_TEST_JOSE=""
    note "PyJWT, jwcrypto and joserfc cannot be installed here: the test signing::interop does nothing"
}

# Prometheus's promtool, whose path is NGX_TEST_PROMTOOL: from Debian's package, without installing it,
# since that would start a server. Empty where it cannot be had; what needs it says so.
setup_promtool() {
    local folder=$TOOLS/prometheus
    NGX_TEST_PROMTOOL=$(command -v promtool || true)
    if [[ -z $NGX_TEST_PROMTOOL && ! -x $folder/usr/bin/promtool ]] && on_debian; then
        say "fetching promtool"
        mkdir -p "$SCRATCH/prometheus" "$TOOLS"
        fetch_deb prometheus "$SCRATCH/prometheus" && rm -rf "$folder" &&
            dpkg-deb -x "$SCRATCH"/prometheus/prometheus_*.deb "$folder" || true
    fi
    [[ -n $NGX_TEST_PROMTOOL || ! -x $folder/usr/bin/promtool ]] || NGX_TEST_PROMTOOL=$folder/usr/bin/promtool
    export NGX_TEST_PROMTOOL
    [[ -n $NGX_TEST_PROMTOOL ]] ||
        note "there is no promtool here: metrics and alert rules are not checked"
}

fetch_deb() { # PACKAGE FOLDER
    (cd "$2" && apt-get download -q "$1") >/dev/null 2>&1 </dev/null && return
    can_be_root || return
    apt_update
    (cd "$2" && quietly "apt-get download $1" apt-get download -q "$1")
}

# A Chromium, whose path is NGX_TEST_CHROMIUM, for the test of the status page. Empty where it cannot be
# had; the test then passes without it, and says so.
setup_chromium() {
    NGX_TEST_CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
    if [[ -z $NGX_TEST_CHROMIUM ]] && on_debian && can_be_root && apt_install chromium; then
        NGX_TEST_CHROMIUM=$(command -v chromium || true)
    fi
    export NGX_TEST_CHROMIUM
    [[ -n $NGX_TEST_CHROMIUM ]] ||
        note "there is no Chromium here: the test status::page does nothing"
}

# An ffmpeg, whose path is NGX_TEST_FFMPEG, for the tests that play streams. Empty where it cannot be had; they
# then pass without it, and say so.
setup_ffmpeg() {
    NGX_TEST_FFMPEG=$(command -v ffmpeg || true)
    if [[ -z $NGX_TEST_FFMPEG ]] && on_debian && can_be_root && apt_install ffmpeg; then
        NGX_TEST_FFMPEG=$(command -v ffmpeg || true)
    fi
    export NGX_TEST_FFMPEG
    [[ -n $NGX_TEST_FFMPEG ]] ||
        note "there is no ffmpeg here: the tests streams::playing do nothing"
}

# The alert rules, with their own tests.
check_monitoring() {
    [[ -n $NGX_TEST_PROMTOOL ]] || return 0
    step "alert rules"
    "$NGX_TEST_PROMTOOL" check rules docs/monitoring/alerts.yml
    (cd docs/monitoring && "$NGX_TEST_PROMTOOL" test rules alerts_test.yml)
}

count() { grep -o "[0-9]* $1" <<<"$2" | head -n 1 | grep -o '^[0-9]*' || say 0; }

check_shell() {
    step "shell scripts"
    if ! have shellcheck && on_debian && can_be_root; then
        apt_install shellcheck || true
    fi
    if have shellcheck; then
        shellcheck -x build.sh build/self-test.sh bench/cpu-per-request.sh packaging/test.sh tests/fleet/store.sh .ci/run \
            .ci/base-images.sh
    else
        note "shellcheck is not installed: the scripts were not checked"
    fi
}

check_dependencies() {
    step "dependencies: licences, sources, bans"
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
    check_advisories
}

# The list of advisories is a git repository of its own, which not every machine can reach. With
# CI_ADVISORIES=required that fails the test.
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
        xtask instructions || die "a judgement takes more than it did; see above and xtask/src/instructions.rs"
        xtask allocations --nginx "$NGX_BIN" --module "$DIST/$MODULE_NAME" --tokenctl "$DIST/tokenctl" ||
            die "a token seen before allocates memory; see above and xtask/src/allocations.rs"
        xtask counting --nginx "$NGX_BIN" --module "$DIST/$MODULE_NAME" --tokenctl "$DIST/tokenctl" ||
            die "counting requests takes too much; see above and xtask/src/counting.rs"
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

# A module whose headers have one flag more in ngx_connection_t than its nginx has: Debian's 1.22.1 and the
# release of that version differ so. Version and signature are the same, and still it must not be loaded.
check_layout() {
    local other=$TARGET/other-headers
    ((!VENDORED)) || return 0
    step "a module built with the headers of another nginx"
    rm -rf "$other"
    cp -rL "$NGX_SRC" "$other"
    [[ -d $other/objs ]] || cp -rL "$NGX_OBJS" "$other/objs"
    sed -i 's/^\( *unsigned  *\)idle:1;/\1other:1;\n&/' "$other/src/core/ngx_connection.h"
    grep -q 'other:1;' "$other/src/core/ngx_connection.h" || die "ngx_connection.h has no flag \"idle\" any more"
    NGINX_SOURCE_DIR=$other NGINX_BUILD_DIR=$other/objs cargo_build "debug/lib$MODULE_NAME" -p ngx-token-auth
    mv "$BUILT" "$SCRATCH/other.so" # away from where the good one belongs
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
        NGX_TEST_SOURCE=$NGX_SRC NGX_TEST_OBJS=$NGX_OBJS NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
        cargo nextest run --locked --no-fail-fast --test-threads "$(test_threads)" "$@" 2>&1 </dev/null | tee "$SCRATCH/nextest" || status=$?
    ((status == 0)) || die "tests failed; see above"
    SUMMARIES+=("$name: $(grep 'Summary \[' "$SCRATCH/nextest" | tail -n 1 | sed 's/^ *//')")
}

# Most tests wait for nginx longer than they compute.
test_threads() { say $((2 * $(nproc 2>/dev/null || say 2))); }

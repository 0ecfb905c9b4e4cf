# shellcheck shell=bash
# sanitize: the integration tests with nginx and the module under AddressSanitizer.
#
# nginx is built from the nginx-src crate by clang, with every allocation from a pool an allocation
# of its own (NGX_DEBUG_PALLOC), so that an overrun or a use after the pool's end is seen. The module
# uses the same runtime, which clang links into nginx.

SANITIZED=$CACHE/sanitized # nginx's source and objects
LEAKS=$ROOT/build/leaks.supp

# Tests that cannot run under the sanitizer, as nextest's filters: it reports a worker that the test itself
# kills, and it needs memory of its own. It looks for leaks itself, at the end of every process.
NOT_SANITIZED="test(a_worker_that_dies_fails_the_test) or test(leak_neither_memory_nor_descriptors) or
    test(many_tokens_take_no_more_than_it_says) or test(thousands_of_hosts_do_not_grow_a_worker) or
    test(a_storm_of_unknown_kids_costs_one_refresh_and_no_memory) or
    test(a_token_is_verified_once_for_all_includes_of_a_page) or
    test(includes_of_many_locations_with_checks_of_their_own_share_what_was_found) or
    test(a_large_claim_that_a_page_shows_again_and_again_is_kept_once) or
    test(ten_thousand_locations_are_counted_in_bounded_memory) or
    test(ten_thousand_requests_over_workers_reloads_and_a_killed_worker_add_up)"

verb_sanitize() { # NAME...: only the tests whose name contains one of these
    setup_curl
    setup_rust
    setup_cargo_tool cargo-nextest $NEXTEST_VERSION
    setup_sanitized
    run_nextest "AddressSanitizer, nginx $NGX_VERSION" -p module-tests -E "not ($NOT_SANITIZED)" -- "$@"
    step "no report"
    say "${SUMMARIES[@]}"
}

# Sets NGX_* and DIST, and what runs nginx under the sanitizer.
setup_sanitized() {
    local module
    setup_rust
    VENDORED=1 # asks for OpenSSL's headers, too
    setup_build_packages
    setup_clang
    build_tokenctl
    put "$DIST/tokenctl" "$ROOT/dist/sanitized/tokenctl"
    DIST=$ROOT/dist/sanitized
    build_sanitized_nginx
    build_sanitized_module
    module=$DIST/$MODULE_NAME

    # An uninstrumented build would pass everything.
    [[ $(nm -D --undefined-only "$module") == *__asan_report_load* ]] || die "$module is not instrumented"
    [[ $(ASAN_OPTIONS=help=1 "$NGX_BIN" -v 2>&1) == *AddressSanitizer* ]] || die "$NGX_BIN is not instrumented"

    sanitizer_wrapper >"$SCRATCH/sanitized"
    chmod 755 "$SCRATCH/sanitized"
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
    export LSAN_OPTIONS=suppressions=$LEAKS:print_suppressions=0
    export NGX_TEST_WRAPPER=$SCRATCH/sanitized NGX_TEST_PATIENCE=${NGX_TEST_PATIENCE:-6}
}

# nginx ends after "-t" without freeing the configuration, and the sanitizer would call all of it leaks. A
# start that is refused frees it, and so does a running nginx at its end.
sanitizer_wrapper() {
    cat <<'SH'
#!/bin/sh
case " $* " in *" -t "*) ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 ;; esac
exec "$@"
SH
}

# The compiler and its sanitizer, which Debian has in a package of its own.
setup_clang() {
    local version
    have clang || ! on_debian || ! can_be_root || apt_install clang || true
    have clang || die "sanitize wants clang; install it and run this again"
    sanitizer_links && return
    version=$(clang -dumpversion)
    ! on_debian || ! can_be_root || apt_install "libclang-rt-${version%%.*}-dev" || true
    sanitizer_links || die "clang $version here cannot link -fsanitize=address: its runtime (compiler-rt) is missing"
}

sanitizer_links() {
    clang -fsanitize=address -x c -o "$SCRATCH/sanitizer" - <<<'int main(void) { return 0; }' >/dev/null 2>&1
}

# Sets NGX_VERSION, NGX_BIN, NGX_SRC and NGX_OBJS.
build_sanitized_nginx() {
    local dir stamp
    NGX_VERSION=$(crate_version)
    dir=$SANITIZED/$NGX_VERSION
    NGX_BIN=$dir/objs/nginx NGX_SRC=$dir NGX_OBJS=$dir/objs
    # Built again only when this file has changed.
    stamp=$(cksum <"$ROOT/build/sanitize.sh")
    [[ ! -x $NGX_BIN || $(cat "$dir/stamp" 2>/dev/null) != "$stamp" ]] || return 0
    step "building nginx $NGX_VERSION with AddressSanitizer"
    rm -rf "$dir"
    mkdir -p "$SANITIZED"
    source_from_crate "$dir" || die "the nginx-src crate does not hold nginx $NGX_VERSION"
    # nginx unmaps the module before the process ends. Where it stays, the frames of a report have names,
    # and what a static owns (the regex crate keeps eight bytes so) is no leak. That it can be unmapped
    # is what the ordinary tests show.
    sed -i 's/^\(#define ngx_dlclose(handle)\) .*/\1 ((void) (handle), 0)/' "$dir/src/os/unix/ngx_dlopen.h"
    grep -q 'ngx_dlclose(handle) ((void)' "$dir/src/os/unix/ngx_dlopen.h" || die "nginx $NGX_VERSION unmaps modules another way"
    (cd "$dir" && quietly "nginx's configure" bash "$(configure_script)" --with-compat --with-cc=clang \
        --with-cc-opt='-O1 -g -fno-omit-frame-pointer -fsanitize=address -DNGX_DEBUG_PALLOC=1' \
        --with-ld-opt=-fsanitize=address --with-threads --with-http_v2_module --with-http_ssl_module \
        --with-http_realip_module --with-http_auth_request_module --with-http_addition_module \
        --with-http_sub_module --with-http_slice_module &&
        quietly "nginx's make" make -j"$(nproc)") || die "nginx could not be built with AddressSanitizer"
    say "$stamp" >"$dir/stamp"
}

configure_script() { # a release has it beside auto/, a checkout within
    if [[ -f configure ]]; then say ./configure; else say auto/configure; fi
}

# Only what is for nginx itself is instrumented: with --target, build scripts and macros are not.
build_sanitized_module() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    step "building the module with AddressSanitizer"
    # The flags are unstable; RUSTC_BOOTSTRAP lets a stable compiler take them.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt -Cforce-frame-pointers=yes" \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
        CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
        NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
        cargo_build "sanitized/$host/release/lib$MODULE_NAME" --release -p ngx-token-auth \
        --target "$host" --target-dir "$TARGET/sanitized"
    put "$BUILT" "$DIST/$MODULE_NAME"
}

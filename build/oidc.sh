# shellcheck shell=bash
# A real OpenID Connect server for `test`: from PyPI, in a virtual environment of its own.

OIDC_VERSION=0.3.4

# Sets NGX_TEST_OIDC, the server's command. Where it cannot be installed that stays empty: its test is
# then left out, and says so.
setup_oidc() {
    local place=$ROOT/target/oidc
    NGX_TEST_OIDC=$place/bin/oidc-provider-mock
    export NGX_TEST_OIDC
    [[ ! -x $NGX_TEST_OIDC || $(cat "$place/version" 2>/dev/null) != "$OIDC_VERSION" ]] || return 0
    say "installing oidc-provider-mock $OIDC_VERSION into target/oidc/"
    rm -rf "$place"
    mkdir -p "$ROOT/target"
    if ! python3 -m venv "$place" >/dev/null 2>&1; then
        rm -rf "$place"
        # Debian leaves venv out of python3.
        on_debian && can_be_root && apt_install python3-venv && python3 -m venv "$place" >/dev/null 2>&1
    fi || true
    if [[ -x $place/bin/pip ]] &&
        "$place/bin/pip" install -q --no-input --only-binary :all: \
            "oidc-provider-mock==$OIDC_VERSION" 'authlib<2' >/dev/null 2>&1 </dev/null &&
        "$NGX_TEST_OIDC" --help >/dev/null 2>&1; then
        say "$OIDC_VERSION" >"$place/version"
        return
    fi
    note "the OpenID Connect server cannot be installed here: tests/tests/oidc.rs will be left out"
    NGX_TEST_OIDC=""
}

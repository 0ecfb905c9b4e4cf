#!/usr/bin/env bash
# Tests of the build's own scripts: downloads with wrong contents, headers of another nginx than the
# installed one, advisories that cannot be fetched, what runs side by side. Nothing here needs a network.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export VENDORED=0
# shellcheck source=build/common.sh
. build/common.sh
# shellcheck source=build/nginx.sh
. build/nginx.sh
# shellcheck source=build/check.sh
. build/check.sh

MIRROR=$SCRATCH/mirror KEYS=$SCRATCH/keys
CACHE=$SCRATCH/cache RELEASES=$SCRATCH/releases RELEASE_KEYS=$SCRATCH/release-keys
export NGINX_MIRROR=file://$MIRROR NGINX_KEYS=file://$KEYS
unset NGINX_SHA256 NGINX_SOURCE NGINX_VERSION CI_ADVISORIES
PASSED=0 STATUS=0

# passes TEXT COMMAND...: it succeeds, and says TEXT
passes() {
    local text=$1
    shift
    run "$@"
    ((STATUS == 0)) || wrong "$* failed, and should not"
    grep -qF -- "$text" "$SCRATCH/said" || wrong "$* does not say \"$text\""
    PASSED=$((PASSED + 1))
}

# fails TEXT COMMAND...: it fails, and says TEXT
fails() {
    local text=$1
    shift
    run "$@"
    ((STATUS)) || wrong "$* succeeded, and should not"
    grep -qF -- "$text" "$SCRATCH/said" || wrong "$* does not say \"$text\""
    PASSED=$((PASSED + 1))
}

# Sets STATUS. Within a condition the shell would ignore that a command fails.
run() {
    set +e
    (
        set -e
        "$@"
    ) >"$SCRATCH/said" 2>&1 </dev/null
    STATUS=$?
    set -e
}

wrong() {
    cat "$SCRATCH/said" >&2
    die "self-test: $1; what it said is above"
}

# A source tree with nothing but a version, and a word that tells it from others.
make_source() { # DIR VERSION WORD
    mkdir -p "$1/src/core"
    printf '#define NGINX_VERSION      "%s"\n/* %s */\n' "$2" "$3" >"$1/src/core/nginx.h"
}

make_release() { # VERSION
    make_source "$SCRATCH/trees/nginx-$1" "$1" release
    mkdir -p "$MIRROR"
    tar -czf "$MIRROR/nginx-$1.tar.gz" -C "$SCRATCH/trees" "nginx-$1"
}

download() { # VERSION
    NGX_VERSION=$1
    rm -rf "${CACHE:?}"
    source_from_tarball "$CACHE/$1"
    [[ $(source_version "$CACHE/$1") == "$1" ]]
    cat "$CACHE/$1/headers"
}

sum_of() { sha256sum "$1" | cut -d' ' -f1; }

test_checksums() {
    make_release 1.90.1
    make_release 1.90.2
    : >"$RELEASE_KEYS"
    say "1.90.1 $(sum_of "$MIRROR/nginx-1.90.1.tar.gz")" >"$RELEASES"
    passes "nginx.org's release 1.90.1" download 1.90.1
    fails "no signature" download 1.90.2
    NGINX_SHA256=$(sum_of "$MIRROR/nginx-1.90.2.tar.gz") passes "release 1.90.2" download 1.90.2
    NGINX_SHA256=$(sum_of "$MIRROR/nginx-1.90.1.tar.gz") fails "NGINX_SHA256 says" download 1.90.2
    fails "cannot be reached" download 1.90.3
    # A mirror that is named is asked, even for what Debian's archive has.
    (NGX_VERSION=1.90.1 && source_from_tarball() { :; } && ! source_from_debian "$CACHE/1.90.1") ||
        wrong "Debian's archive was asked instead of the mirror"

    # Still an archive that unpacks, and still nothing of it is used.
    rm -rf "$SCRATCH/nginx-1.90.1"
    make_source "$SCRATCH/trees/nginx-1.90.1" 1.90.1 "another's"
    tar -czf "$MIRROR/nginx-1.90.1.tar.gz" -C "$SCRATCH/trees" nginx-1.90.1
    fails "build/nginx-releases.txt says" download 1.90.1
    [[ ! -e $CACHE/1.90.1 && ! -e $SCRATCH/nginx-1.90.1 ]] || wrong "something was unpacked"
}

make_key() { # NAME
    mkdir -p "$KEYS"
    mkdir -m 700 "$SCRATCH/$1"
    gpg --homedir "$SCRATCH/$1" --batch -q --passphrase '' --quick-gen-key "$1" ed25519 sign never 2>/dev/null
    gpg --homedir "$SCRATCH/$1" --batch -q --armor --export >"$KEYS/$1.key"
    gpg --homedir "$SCRATCH/$1" --batch --with-colons --list-keys 2>/dev/null |
        sed -n 's/^fpr:*\([0-9A-F]*\):/\1/p' | head -n 1 >"$SCRATCH/$1.fingerprint"
}

sign() { # NAME FILE
    gpg --homedir "$SCRATCH/$1" --batch -q --yes --passphrase '' --armor --detach-sign -o "$2.asc" "$2"
}

test_signatures() {
    local archive=$MIRROR/nginx-1.90.4.tar.gz
    if ! have gpg; then
        note "gpg is not installed: the check of signatures was not tested"
        return 0
    fi
    ON_EXIT+=("gpgconf --homedir $SCRATCH/friend --kill all" "gpgconf --homedir $SCRATCH/stranger --kill all"
        "gpgconf --homedir $SCRATCH/gnupg --kill all")
    : >"$RELEASES"
    make_release 1.90.4
    make_key friend
    make_key stranger
    say "$(<"$SCRATCH/friend.fingerprint") friend.key A Friend" >"$RELEASE_KEYS"
    sign friend "$archive"
    passes "its signature is that of A Friend" download 1.90.4
    sign stranger "$archive"
    fails "no signature" download 1.90.4
    # A key that is served under a friend's name is not the friend's.
    cp "$KEYS/friend.key" "$SCRATCH/friend.key"
    cp "$KEYS/stranger.key" "$KEYS/friend.key"
    fails "no signature" download 1.90.4
    cp "$SCRATCH/friend.key" "$KEYS/friend.key"
    sign friend "$archive"
    printf x >>"$archive"
    fails "no signature" download 1.90.4
}

# The system's packages, as these cases want them: FILE_OF is the package that the binary is of.
on_debian() { true; }
can_be_root() { true; }
apt_update() { true; }
apt_has() { false; }
configure_source() { mkdir -p "$1/objs" && touch "$1/objs/ngx_auto_config.h"; }
crate_version() { say none; }
dpkg() { [[ -z ${CHANGED:-} ]] || say "??5??????   $CHANGED"; }
dpkg-query() {
    case "$*" in
        "-S "*) [[ -n ${FILE_OF:-} ]] && say "$FILE_OF: $2" ;;
        *Status-Abbrev*nginx-dev) [[ -n ${NGINX_DEV:-} ]] && say "ii " ;;
        *Version*nginx-dev) say "${NGINX_DEV:-}" ;;
        *Version*) say 1.90.5-2 ;;
        *Maintainer*) say "${MAINTAINER:-A Distribution}" ;;
    esac
}

headers_for() { # WORD: the headers are those with the word
    NGX_VERSION=1.90.5 NGX_BIN=/usr/sbin/nginx NGX_ARGS=--with-compat
    rm -rf "${CACHE:?}"
    find_headers
    find_headers # once more, from what is kept
    grep -q "$1" "$NGX_SRC/src/core/nginx.h"
}

test_headers() {
    make_release 1.90.5
    say "1.90.5 $(sum_of "$MIRROR/nginx-1.90.5.tar.gz")" >"$RELEASES"
    export NGINX_DEV_SOURCE=$SCRATCH/nginx-dev
    make_source "$NGINX_DEV_SOURCE" 1.90.5 patched

    FILE_OF=nginx NGINX_DEV=1.90.5-2 passes "headers: nginx-dev 1.90.5-2" headers_for patched
    # Built by hand, although the distribution's headers of that version are there.
    NGINX_DEV=1.90.5-2 passes "headers: nginx.org's release" headers_for release
    FILE_OF=nginx CHANGED=/usr/sbin/nginx NGINX_DEV=1.90.5-2 passes "headers: nginx.org's release" headers_for release
    FILE_OF=nginx MAINTAINER="NGINX Packaging <nginx-packaging@f5.com>" NGINX_DEV=1.90.5-2 \
        passes "headers: nginx.org's release" headers_for release
    # The same version of nginx, and other patches.
    FILE_OF=nginx NGINX_DEV=1.90.5-1 passes "may differ" headers_for release
    FILE_OF=nginx passes "will refuse to be loaded" headers_for release

    # What an earlier build has left without a word of where it is from is not taken.
    make_source "$SCRATCH/old/1.90.5" 1.90.5 patched
    configure_source "$SCRATCH/old/1.90.5"
    passes "headers: nginx.org's release" old_headers
}

old_headers() {
    CACHE=$SCRATCH/old NGX_VERSION=1.90.5 NGX_BIN=/usr/sbin/nginx NGX_ARGS=--with-compat
    find_headers
    grep -q release "$NGX_SRC/src/core/nginx.h"
}

test_advisories() {
    mkdir -p "$SCRATCH/bin"
    printf '#!/bin/sh\necho no network >&2\nexit 1\n' >"$SCRATCH/bin/cargo"
    chmod 755 "$SCRATCH/bin/cargo"
    PATH=$SCRATCH/bin:$PATH passes "NOT checked" check_advisories
    CI_ADVISORIES=required PATH=$SCRATCH/bin:$PATH fails "CI_ADVISORIES=required" check_advisories
}

# Each of these two ends only when the other has begun.
first_of_two() { meets first second; }
second_of_two() { meets second first; }
meets() { # OWN OTHER
    local until=$((SECONDS + 60))
    touch "$SCRATCH/$1"
    until [[ -e $SCRATCH/$2 ]]; do ((SECONDS < until)) || return; done
    say "$1 has met $2"
}
breaks() {
    false
    touch "$SCRATCH/went-on"
}

test_side_by_side() {
    passes "first has met second" side_by_side first_of_two second_of_two
    fails "failed: breaks;" side_by_side first_of_two breaks second_of_two
    [[ ! -e $SCRATCH/went-on ]] || die "self-test: what runs side by side goes on after a command has failed"
}

setup_curl
test_checksums
test_signatures
test_headers
test_advisories
test_side_by_side
say "$PASSED cases of downloads, headers, advisories and of what runs side by side went as they should"

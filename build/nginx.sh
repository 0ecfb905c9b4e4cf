# shellcheck shell=bash
# Which nginx the module is built for, and the headers of exactly that nginx.
#
# nginx loads a module only when version and signature are the same. The signature of a bare
# `--with-compat` is the one of every nginx that was built --with-compat, so the version is all
# that has to be found out; a build without --with-compat needs its own configure arguments.

# nginx reads the variable NGINX as a list of sockets that it inherits, so no nginx that is started
# here may see it.
WANT_NGINX=${NGINX:-}
unset NGINX

NGX_BIN=""     # the nginx binary; empty when only a version is known
NGX_VERSION="" # 1.22.1
NGX_ARGS=""    # its configure arguments
NGX_SRC=""     # source tree that the bindings are made from
NGX_OBJS=""    # its configured objs/

RELEASES=$ROOT/build/nginx-releases.txt
RELEASE_KEYS=$ROOT/build/nginx-keys.txt

source_version() { # DIR
    sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$1/src/core/nginx.h" 2>/dev/null || true
}

# Reads version and arguments of NGX_BIN, and refuses what can never load the module.
inspect_nginx() {
    local info name
    [[ -x $NGX_BIN ]] || die "NGINX=$NGX_BIN is no program that can be run"
    info=$("$NGX_BIN" -V 2>&1) || die "$NGX_BIN -V fails: $info"
    name=$(sed -n 's/^nginx version: \([^/ ]*\).*/\1/p' <<<"$info")
    NGX_VERSION=$(sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p' <<<"$info")
    NGX_ARGS=$(sed -n 's/^configure arguments: *//p' <<<"$info")
    [[ -n $NGX_VERSION ]] || die "$NGX_BIN -V tells no version; is it an nginx?"
    if [[ $name != nginx ]]; then
        [[ -n ${NGINX_SOURCE:-} ]] ||
            die "$NGX_BIN is $name, whose version numbers are not nginx's: give the source it was
built from, configured with its own arguments, as NGINX_SOURCE=/path/to/source"
        NGX_VERSION=$(source_version "$NGINX_SOURCE")
    fi
    if is_static "$NGX_BIN"; then
        die "$NGX_BIN is statically linked: such an nginx cannot load modules at all. Use a
dynamically linked one (a distribution's package or nginx.org's), or --vendored."
    fi
}

# A dynamically linked program names the loader that it asks for.
is_static() {
    have readelf || return 1
    LC_ALL=C readelf -hW "$1" >/dev/null 2>&1 || return 1 # a wrapper script, say
    ! LC_ALL=C readelf -lW "$1" 2>/dev/null | grep -q ' INTERP '
}

is_compat() { [[ " $NGX_ARGS " == *" --with-compat "* ]]; }

# Sets NGX_BIN and NGX_VERSION from NGINX=, NGINX_VERSION=, NGINX_SOURCE= or PATH.
find_nginx() {
    local found=""
    NGX_BIN="" NGX_VERSION="" NGX_ARGS=""
    if [[ -n $WANT_NGINX ]]; then
        NGX_BIN=$(command -v "$WANT_NGINX" || true)
        [[ -n $NGX_BIN ]] || die "NGINX=$WANT_NGINX: there is no such program"
        NGX_BIN=$(readlink -f "$NGX_BIN")
        inspect_nginx
        [[ -z ${NGINX_VERSION:-} || $NGINX_VERSION == "$NGX_VERSION" ]] ||
            die "NGINX=$WANT_NGINX is $NGX_VERSION, but NGINX_VERSION says $NGINX_VERSION: give only one"
        return
    fi
    found=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin command -v nginx || true)
    if [[ -n ${NGINX_VERSION:-} ]]; then
        [[ $NGINX_VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] ||
            die "NGINX_VERSION=$NGINX_VERSION is no version like 1.28.0"
        # The nginx on PATH is only of use when it happens to be that version.
        if [[ -n $found && $("$found" -v 2>&1) == "nginx version: nginx/$NGINX_VERSION"* ]]; then
            NGX_BIN=$(readlink -f "$found")
            inspect_nginx
        fi
        NGX_VERSION=$NGINX_VERSION
        return
    fi
    if [[ -z $found && -n ${NGINX_SOURCE:-} ]]; then
        NGX_VERSION=$(source_version "$NGINX_SOURCE")
        [[ -n $NGX_VERSION ]] || die "NGINX_SOURCE=$NGINX_SOURCE holds no nginx source"
        return
    fi
    if [[ -z $found ]]; then
        install_nginx
        found=$(PATH=$PATH:/usr/sbin command -v nginx) || die "nginx was installed but cannot be found"
    fi
    NGX_BIN=$(readlink -f "$found")
    inspect_nginx
}

# Debian starts a service when it installs it. No server on port 80 is wanted here, so starting is
# forbidden during the installation.
install_nginx() {
    local policy=/usr/sbin/policy-rc.d mine=0 failed=0
    if ! on_debian || ! can_be_root; then
        die "there is no nginx on PATH. Install one (Debian, Ubuntu: apt-get install nginx; Fedora:
dnf install nginx; Alpine: apk add nginx; Arch: pacman -S nginx), or name one with
NGINX=/path/to/nginx, or a version with NGINX_VERSION=1.28.0, or build one too with --vendored."
    fi
    say "there is no nginx here: installing the distribution's, without starting it"
    if [[ ! -e $policy ]]; then
        mine=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    apt_install nginx || failed=1
    ((!mine)) || as_root rm -f "$policy"
    ((!failed)) || die "installing nginx failed; see above"
}

# --- headers ----------------------------------------------------------------------------------

# Distributions patch nginx, and a patch may change a structure but neither version nor signature:
# Debian's 1.22.1 has a field in ngx_connection_t that the release has not. So the headers are those of
# the distribution's package where the binary is the package's own, and those of nginx.org's release
# where it is not. Where that is not certain, a note says so; the module itself refuses to be loaded by
# an nginx with other structures (check_loads shows it).

# Sets NGX_SRC and NGX_OBJS for NGX_VERSION.
find_headers() {
    local dir package
    if [[ -n ${NGINX_SOURCE:-} ]]; then
        headers_from_given_source
        say "headers: NGINX_SOURCE=$NGINX_SOURCE, which must be what ${NGX_BIN:-nginx} was built from"
        return
    fi
    if [[ -n $NGX_BIN ]] && ! is_compat; then
        die "$NGX_BIN was built without --with-compat, so it only loads modules that were configured
with its own arguments. Give its source, configured with them (the arguments that nginx -V
prints, ./configure is enough), as NGINX_SOURCE=/path/to/nginx-$NGX_VERSION; or use an nginx
that has --with-compat, as the packages of Debian, Ubuntu, nginx.org and others do."
    fi
    package=$(distribution_version)
    dir=$CACHE/${package:+package-}${package:-$NGX_VERSION}
    if [[ -n $package && ! -f $dir/headers ]] && ! source_from_nginx_dev "$dir" "$package"; then
        note "$NGX_BIN is of the package $package, but nginx-dev of that version cannot be
installed here: the headers are the release's, from which a distribution's patches may differ. If they do, the
module will refuse to be loaded."
        package="" dir=$CACHE/$NGX_VERSION
    fi
    # A folder that is named by the version alone must hold the release. Without the file `headers` nobody
    # knows where it is from.
    [[ -f $dir/headers ]] || fetch_source "$dir"
    [[ -f $dir/objs/ngx_auto_config.h ]] || configure_source "$dir"
    say "headers: $(<"$dir/headers")"
    if [[ -z $NGX_BIN ]]; then
        note "there is no nginx $NGX_VERSION here to compare with: this is for one that was built from the
release. The packages of Debian and Ubuntu are patched: build on a machine that has them."
    fi
    if [[ -n $NGX_BIN && -z $package ]] && of_unknown_package; then
        note "$NGX_BIN is of a package whose patches are not known here. If they change nginx's structures,
the module will refuse to be loaded; give the package's own source as NGINX_SOURCE then."
    fi
    NGX_SRC=$dir NGX_OBJS=$dir/objs
}

# Packages of other systems than Debian's kind.
of_unknown_package() {
    { have rpm && rpm -qf "$NGX_BIN"; } >/dev/null 2>&1 || { have apk && apk info -W "$NGX_BIN"; } >/dev/null 2>&1
}

# The version of the distribution's package that NGX_BIN is a file of, unchanged since it was installed.
# Nothing for any other, and for the packages of nginx.org, which are built from the release.
distribution_version() {
    local package version
    on_debian && [[ -n $NGX_BIN ]] || return 0
    package=$(dpkg-query -S "$NGX_BIN" 2>/dev/null | cut -d: -f1 | head -n 1) || return 0
    [[ -n $package && $package != *" "* ]] || return 0
    ! LC_ALL=C dpkg --verify "$package" 2>/dev/null | grep -q " $NGX_BIN\$" || return 0
    [[ $(dpkg-query -W -f '${Maintainer}' "$package") != *nginx-packaging@* ]] || return 0
    version=$(dpkg-query -W -f '${Version}' "$package") || return 0
    say "$version"
}

headers_from_given_source() {
    local source version configured
    source=$(readlink -f "$NGINX_SOURCE") || true
    version=$(source_version "$source")
    [[ -n $version ]] || die "NGINX_SOURCE=$NGINX_SOURCE holds no nginx source (src/core/nginx.h)"
    [[ $version == "$NGX_VERSION" ]] ||
        die "NGINX_SOURCE=$NGINX_SOURCE is nginx $version, but the module is to be built for
$NGX_VERSION${NGX_BIN:+ ($NGX_BIN)}: nginx refuses a module of another version"
    configured=$(sed -n 's/^#define NGX_CONFIGURE "\(.*\)"$/\1/p' "$source/objs/ngx_auto_config.h" 2>/dev/null |
        sed 's/\\"/"/g; s/^ *//; s/ *$//' || true)
    if [[ -n $NGX_BIN ]] && ! is_compat; then
        [[ -n $configured && $configured == "$(sed 's/ *$//' <<<"$NGX_ARGS")" ]] ||
            die "$NGX_BIN was built without --with-compat, and NGINX_SOURCE=$NGINX_SOURCE is not
configured with the same arguments. In that folder run ./configure with what nginx -V prints:
$NGX_ARGS"
        NGX_SRC=$source NGX_OBJS=$source/objs
        return
    fi
    if [[ -n $configured && " $configured " == *" --with-compat "* ]]; then
        NGX_SRC=$source NGX_OBJS=$source/objs
        return
    fi
    # The folder given is somebody's own: configure a copy.
    local dir=$CACHE/$version-given
    rm -rf "$dir"
    copy_source "$source" "$dir"
    configure_source "$dir"
    NGX_SRC=$dir NGX_OBJS=$dir/objs
}

# Links are resolved: in Debian's package configure is one.
copy_source() { # FROM TO
    mkdir -p "$CACHE"
    rm -rf "$2.part"
    cp -rL "$1" "$2.part"
    rm -rf "$2.part/objs" "$2"
    mv "$2.part" "$2"
}

# The release's source. What is in the folder already is not trusted.
fetch_source() { # DIR
    local dir=$1
    rm -rf "$dir"
    source_from_crate "$dir" || source_from_debian "$dir" || source_from_tarball "$dir" ||
        die "no headers for nginx $NGX_VERSION: nginx.org cannot be reached, and nothing else here
carries that version. Download nginx-$NGX_VERSION.tar.gz on another machine, unpack it and give
the folder as NGINX_SOURCE=/path/to/nginx-$NGX_VERSION."
}

apt_has() { apt-cache madison "$1" 2>/dev/null | awk '{print $3}' | grep -qxF "$2"; }

# Debian's nginx-dev holds the source that the package was built from. The very version of the
# installed nginx is asked for, so that apt never upgrades a running nginx on the way.
source_from_nginx_dev() { # DIR VERSION
    local src=${NGINX_DEV_SOURCE:-/usr/share/nginx/src} dir=$1 package=$2
    if ! has_nginx_dev "$package"; then
        can_be_root || return 1
        apt_has nginx-dev "$package" || { apt_update && apt_has nginx-dev "$package"; } || return 1
        apt_install "nginx-dev=$package" || return 1
        has_nginx_dev "$package" || return 1
    fi
    [[ $(source_version "$src") == "$NGX_VERSION" ]] || return 1
    copy_source "$src" "$dir"
    say "nginx-dev $package, as the package of $NGX_BIN" >"$dir/headers"
}

has_nginx_dev() { # VERSION
    package_installed nginx-dev && [[ $(dpkg-query -W -f '${Version}' nginx-dev) == "$1" ]]
}

# Debian's archive has the release's file under another name. What is not known by its checksum is not
# taken from there, and nothing is if a mirror is named.
source_from_debian() { # DIR
    [[ -z ${NGINX_MIRROR:-} ]] || return 1
    grep -q "^$NGX_VERSION " "$RELEASES" || return 1
    (source_from_tarball "$1" https://deb.debian.org/debian/pool/main/n/nginx "nginx_$NGX_VERSION.orig.tar.gz") 2>/dev/null
}

source_from_tarball() { # DIR [MIRROR FILE]
    local mirror=${2:-${NGINX_MIRROR:-https://nginx.org/download}} url status=0
    url=${mirror%/}/${3:-nginx-$NGX_VERSION.tar.gz}
    setup_curl
    say "downloading $url"
    curl -fsSL --connect-timeout 10 --max-time 300 --retry 1 -o "$SCRATCH/nginx.tar.gz" "$url" || status=$?
    if ((status == 22)); then
        die "there is no release $NGX_VERSION at $mirror"
    elif ((status)); then
        note "$mirror cannot be reached (curl's status $status)"
        return 1
    fi
    verify_tarball "$SCRATCH/nginx.tar.gz" "$url"
    rm -rf "$SCRATCH/nginx-$NGX_VERSION"
    tar -xzf "$SCRATCH/nginx.tar.gz" -C "$SCRATCH" || die "$url is not a complete archive; try again"
    copy_source "$SCRATCH/nginx-$NGX_VERSION" "$1"
    say "nginx.org's release $NGX_VERSION" >"$1/headers"
}

# An archive is unpacked only when it is known to be nginx.org's: by the checksum that is given or noted
# here, else by the signature of somebody who signs releases.
verify_tarball() { # FILE URL
    local found want=${NGINX_SHA256:-} who=NGINX_SHA256
    found=$(sha256sum "$1" | cut -d' ' -f1)
    if [[ -z $want ]]; then
        want=$(awk -v version="$NGX_VERSION" '$1 == version { print $2 }' "$RELEASES")
        who=build/nginx-releases.txt
    fi
    if [[ -n $want ]]; then
        [[ $found == "${want,,}" ]] || die "$2 is not what it should be: its SHA-256 is
  $found, and not
  $want,
which $who says. Nothing of it was used."
        return
    fi
    verify_signature "$1" "$2" || die "nginx $NGX_VERSION is not in build/nginx-releases.txt, and no signature
vouches for $2 (its SHA-256 is $found).
Nothing of it was used. If you know from elsewhere what its SHA-256 must be, say NGINX_SHA256=..."
}

verify_signature() { # FILE URL
    local home=$SCRATCH/gnupg keys=${NGINX_KEYS:-https://nginx.org/keys} fingerprint file owner signed
    have gpg || { on_debian && can_be_root && apt_install gpg; } || {
        note "gpg is missing, which checks signatures"
        return 1
    }
    if ! curl -fsSL --connect-timeout 10 --max-time 60 -o "$SCRATCH/nginx.asc" "$2.asc"; then
        note "$2.asc cannot be downloaded"
        return 1
    fi
    rm -rf "$home"
    mkdir -m 700 "$home"
    while read -r fingerprint file owner; do
        [[ $fingerprint =~ ^[0-9A-F]{40}$ ]] || continue
        curl -fsSL --connect-timeout 10 --max-time 60 -o "$SCRATCH/nginx.key" "${keys%/}/$file" 2>/dev/null &&
            gpg --homedir "$home" --batch -q --import "$SCRATCH/nginx.key" >/dev/null 2>&1 ||
            note "the key of $owner cannot be downloaded from $keys/$file"
    done <"$RELEASE_KEYS"
    # The last word of this line is the fingerprint of the main key, also when a subkey has signed.
    signed=$(gpg --homedir "$home" --batch --status-fd 1 --verify "$SCRATCH/nginx.asc" "$1" 2>/dev/null |
        sed -n 's/^\[GNUPG:\] VALIDSIG .* //p' | head -n 1) || return 1
    [[ -n $signed ]] && grep -q "^$signed " "$RELEASE_KEYS" || return 1
    say "its signature is that of $(awk -v key="$signed" '$1 == key { $1 = $2 = ""; print }' "$RELEASE_KEYS" | sed 's/^ *//')"
}

# The nginx-src crate that Cargo.lock names, with its checksum, holds one release; its version ends in "+1.28.3".
crate_version() {
    sed -n '/^name = "nginx-src"/{n;s/^version = ".*+\(.*\)"/\1/p;}' Cargo.lock
}

source_from_crate() { # DIR
    local source
    [[ $(crate_version) == "$NGX_VERSION" ]] || return 1
    source=$(crate_source)
    [[ -n $source ]] || return 1
    copy_source "$source" "$1"
    say "nginx $NGX_VERSION of the nginx-src crate" >"$1/headers"
}

crate_source() { xtask vendored-source; }

# Only the headers that configure writes are needed, so nothing is compiled.
configure_source() { # DIR
    local dir=$1 script=./configure
    [[ -f $dir/configure ]] || script=auto/configure # a checkout rather than a release
    say "configuring nginx $NGX_VERSION --with-compat"
    rm -rf "$dir/objs" "$dir/objs.part"
    # Under another name until it is whole: an interrupted run must not look like a finished one.
    (cd "$dir" && quietly "nginx's configure" bash $script --with-compat --builddir=objs.part) ||
        die "nginx $NGX_VERSION could not be configured; see above"
    grep -q 'define NGX_PCRE ' "$dir/objs.part/ngx_auto_config.h" ||
        grep -q -A1 'ifndef NGX_PCRE$' "$dir/objs.part/ngx_auto_config.h" ||
        die "nginx $NGX_VERSION was configured without PCRE, which makes a module that no usual nginx
loads. Releases before 1.21.5 want the old libpcre3-dev."
    mv "$dir/objs.part" "$dir/objs"
    # The include paths in the Makefile are read by the bindings.
    sed -i 's/objs\.part/objs/g' "$dir/objs/Makefile"
}

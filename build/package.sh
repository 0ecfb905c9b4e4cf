# shellcheck shell=bash
# package and package-test: Debian packages of the last commit, for the nginx of Debian and for that of
# nginx.org.

CYCLONEDX_VERSION=0.5.9
PACKAGES=$DIST/packages

verb_package() {
    local started=$SECONDS
    prepare_packages
    step "packages for Debian's nginx, and for nginx.org's nginx $NGINX_ORG"
    side_by_side debian_packages nginx_org_package setup_cyclonedx
    finish_packages
    step "package: $((SECONDS - started)) s"
    list_packages
}

# What packages are made of, and what makes them.
prepare_packages() {
    on_debian || die "packages are built on Debian or Ubuntu only"
    setup_rust
    VENDORED=0 setup_build_packages
    package_tools
    # What is not committed is in no package: a package can always be built again.
    git diff --quiet HEAD || note "what is not committed is not packed"
    COMMIT=$(git rev-parse HEAD)
    PACKED=$(dpkg-parsechangelog -S Version)
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$COMMIT")
    export SOURCE_DATE_EPOCH
    NGINX_ORG=${NGINX_VERSION:-$(crate_version)}
    rm -rf "$PACKAGES"
    mkdir -p "$PACKAGES"
}

debian_packages() { debian_packages_in "$SCRATCH/debian"; }

debian_packages_in() { # DIR
    # dpkg-source puts the folder's name into the archive.
    package_source "$1/ngx-token-auth-$PACKED"
    pack "$1/ngx-token-auth-$PACKED"
}

nginx_org_package() {
    local tree=$SCRATCH/nginx.org/nginx-module-token-auth
    package_source "$tree"
    as_nginx_org_does "$tree" "$PACKED"
    NGINX_VERSION=$NGINX_ORG pack "$tree" -b
}

# Checks the packages, and puts beside them what else is published.
finish_packages() {
    step "lintian"
    lintian --fail-on error --suppress-tags "$(no_archive)" "$PACKAGES"/*.changes ||
        die "lintian finds errors; see above"
    step "SBOM and checksums"
    setup_cyclonedx
    sbom
    # What the build says of the machine is not the same the next time.
    rm -f "$PACKAGES"/*.changes "$PACKAGES"/*.buildinfo
    (cd "$PACKAGES" && sha256sum ./* >SHA256SUMS && sed -i 's|\./||' SHA256SUMS)
}

list_packages() { sed "s|^[0-9a-f]*  |  ${PACKAGES#"$ROOT"/}/|" "$PACKAGES/SHA256SUMS"; }

package_tools() {
    local wanted=() package
    for package in debhelper dpkg-dev git lintian nginx nginx-dev; do
        package_installed "$package" || wanted+=("$package")
    done
    ((${#wanted[@]})) || return 0
    can_be_root || die "missing here: ${wanted[*]}; install them and run this again"
    # It would start nginx, and no server on port 80 is wanted here.
    [[ " ${wanted[*]} " != *" nginx "* ]] || install_nginx
    apt_install "${wanted[@]}" || die "installing ${wanted[*]} failed; see above"
}

# Tags that are about Debian's archive, which these packages are not in.
no_archive() { say "initial-upload-closes-no-bugs"; }

# The files of the commit.
package_source() { # DIR
    mkdir -p "$1"
    git archive "$COMMIT" | tar -C "$1" -x
}

# Turns the tree in DIR into the source of nginx.org's package: VERSION becomes NGINX+VERSION-1~CODENAME.
as_nginx_org_does() { # DIR VERSION
    local codename
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    rm "$1"/debian/*libnginx-mod* "$1"/debian/tokenctl.* "$1/debian/mod-http-token-auth.conf" "$1/debian/rules"
    cp "$1"/packaging/nginx.org/* "$1/debian/"
    sed "s/@NGINX@/$NGINX_ORG/" "$1/debian/control.in" >"$1/debian/control"
    rm "$1/debian/control.in"
    sed -i "1s/.*/nginx-module-token-auth ($NGINX_ORG+$2-1~$codename) $codename; urgency=medium/" "$1/debian/changelog"
    echo '1.0' >"$1/debian/source/format"
}

# Builds the packages of a source tree, and puts them into PACKAGES.
pack() { # DIR, dpkg-buildpackage's options
    local dir=$1
    shift
    # The values of this run's tools are of no concern to the packages.
    (cd "$dir" && quietly "dpkg-buildpackage" env -u CARGO_TARGET_DIR -u NGINX_BUILD_DIR -u NGINX_SOURCE_DIR \
        CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" PATH="$PATH:$(dirname "$(command -v cargo)")" \
        dpkg-buildpackage -us -uc -d "$@") || die "no package; see above"
    find "$(dirname "$dir")" -maxdepth 1 -type f -exec cp {} "$PACKAGES/" \;
}

# Where cargo has to build it: it runs for a second, and optimising it would take minutes.
setup_cyclonedx() { setup_cargo_tool cargo-cyclonedx $CYCLONEDX_VERSION --debug; }

# What is linked into the module and into tokenctl, in CycloneDX.
sbom() {
    local tree=$SCRATCH/sbom name
    package_source "$tree"
    (cd "$tree" && quietly "cargo cyclonedx" cargo cyclonedx --format json --spec-version 1.5 --no-build-deps) ||
        die "no SBOM; see above"
    for name in ngx-token-auth tokenctl/tokenctl; do
        # The folder of this build is of no interest to anybody else.
        sed "s|$tree|/usr/src/ngx-token-auth|g" "$tree/$name.cdx.json" >"$PACKAGES/${name##*/}.cdx.json"
    done
}

# --- package-test -----------------------------------------------------------------------------

DEBIAN_IMAGE=${DEBIAN_IMAGE:-debian:bookworm-slim}
PACKAGE_TAG=ngx-token-auth:package-test

verb_package_test() {
    local started=$SECONDS
    prepare_packages
    step "packages for Debian's nginx, twice, and for nginx.org's nginx $NGINX_ORG"
    side_by_side debian_packages second_packages nginx_org_package setup_cyclonedx
    finish_packages
    list_packages
    step "are all bytes the same?"
    compare_packages
    if ! have docker || ! docker version >/dev/null 2>&1; then
        note "no Docker engine runs here: the packages were not installed anywhere"
        return 0
    fi
    in_containers
    step "package-test passed in $((SECONDS - started)) s"
}

# Another build must give the same bytes, in another folder.
second_packages() {
    mkdir -p "$SCRATCH/second"
    PACKAGES=$SCRATCH/second debian_packages_in "$SCRATCH/again"
}

compare_packages() {
    local file
    for file in "$SCRATCH"/second/*.deb "$SCRATCH"/second/*.dsc "$SCRATCH"/second/*.tar.xz; do
        cmp "$file" "$PACKAGES/${file##*/}" || die "a second build gives another ${file##*/}"
    done
    say "yes"
}

in_containers() {
    local name
    mkdir -p "$SCRATCH/test"
    cp "$PACKAGES"/*.deb "$SCRATCH/test/"
    cp "$ROOT/packaging/test.sh" "$ROOT/README.md" "$SCRATCH/test/"
    former_packages
    other_nginx
    nginx_org_stand_in

    step "in clean containers"
    # The network is there to make the image, and not when the packages are installed.
    docker build -q ${DOCKER_BUILD_NETWORK:+--network="$DOCKER_BUILD_NETWORK"} -t "$PACKAGE_TAG" - >/dev/null <<DOCKERFILE ||
FROM $DEBIAN_IMAGE
RUN apt-get update && apt-get install -y --no-install-recommends curl libpcre2-8-0 libssl3 zlib1g
RUN mkdir -p /nginx/partial && apt-get install -y --no-install-recommends --download-only -o Dir::Cache::archives=/nginx nginx
DOCKERFILE
        die "docker build failed; see above"
    for name in debian nginx.org; do
        docker run --rm --network=none -v "$SCRATCH/test:/packages:ro" "$PACKAGE_TAG" bash /packages/test.sh $name ||
            die "the packages do not do what they should; see above"
    done
}

# Packages as an earlier release would have left them.
former_packages() {
    local file tree
    for file in "$PACKAGES"/*.deb; do
        tree=$SCRATCH/former/$(basename "$file" .deb)
        mkdir -p "$SCRATCH/former"
        dpkg-deb -R "$file" "$tree"
        sed -i 's/^\(Version: .*\)\b0\.1\.0/\10.0.9/' "$tree/DEBIAN/control"
        printf former >>"$tree/usr/share/doc/$(dpkg-deb -f "$file" Package)/copyright"
        dpkg-deb --root-owner-group -b "$tree" "$SCRATCH/test/former-${file##*/}" >/dev/null
    done
}

# make_package NAME VERSION FIELD...: an almost empty package; files may be in the folder of that name.
make_package() {
    local tree=$SCRATCH/made/$1-$2 name=$1 version=$2
    shift 2
    mkdir -p "$tree/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$name" "$version" "$(dpkg --print-architecture)"
        printf 'Maintainer: test <test@example.org>\nDescription: stands for another\n'
        printf '%s\n' "$@"
    } >"$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$tree" "$SCRATCH/test/stand-in-$name-$version.deb" >/dev/null
}

# An nginx that the packages are not for.
other_nginx() { make_package nginx 9.9.9-1 "Provides: nginx-abi-9.9.9-1, nginx-r9.9.9"; }

# nginx.org's packages may not be at hand: the release that the crate carries, in the places of theirs.
nginx_org_stand_in() {
    local tree=$SCRATCH/made/nginx-$NGINX_ORG-1
    (PROFILE=dev DIST=$SCRATCH/vendored build_vendored)
    mkdir -p "$tree/usr/sbin" "$tree/usr/lib/nginx/modules" "$tree/etc/nginx" "$tree/var/log/nginx"
    cp "$CACHE/vendored/nginx" "$tree/usr/lib/nginx/nginx"
    ln -s ../../usr/lib/nginx/modules "$tree/etc/nginx/modules"
    ln -s ../../var/log/nginx "$tree/etc/nginx/logs"
    # The prefix and the configuration that nginx.org compiles in.
    printf '#!/bin/sh\nexec /usr/lib/nginx/nginx -p /etc/nginx/ -c /etc/nginx/nginx.conf "$@"\n' >"$tree/usr/sbin/nginx"
    chmod 755 "$tree/usr/sbin/nginx"
    printf 'user www-data;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\nevents { }\nhttp {\n    include conf.d/*.conf;\n}\n' \
        >"$tree/etc/nginx/nginx.conf"
    make_package nginx "$NGINX_ORG-1" "Provides: nginx-r$NGINX_ORG"
}

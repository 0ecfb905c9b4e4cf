#!/usr/bin/env bash
# Builds, demonstrates, tests and installs the nginx module. `./build.sh help` lists the verbs.
#
# Each verb is in a file of build/: module.sh (build, install), demo.sh (demo), check.sh (test),
# fuzz.sh (fuzz), sanitize.sh (sanitize), soak.sh (soak), bench.sh (bench), docker.sh (docker-test; its fleet
# of machines is in fleet.sh), package.sh (package, package-test), matrix.sh (matrix).
# They share common.sh (messages, packages) and nginx.sh (which nginx, its headers). self-test.sh, a part
# of test, tests some of these files. xtask/ has what they need Rust for.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$ROOT"

# shellcheck source=build/common.sh
. "$ROOT/build/common.sh"
# shellcheck source=build/nginx.sh
. "$ROOT/build/nginx.sh"
# shellcheck source=build/module.sh
. "$ROOT/build/module.sh"
# shellcheck source=build/demo.sh
. "$ROOT/build/demo.sh"
# shellcheck source=build/fuzz.sh
. "$ROOT/build/fuzz.sh"
# shellcheck source=build/check.sh
. "$ROOT/build/check.sh"
# shellcheck source=build/sanitize.sh
. "$ROOT/build/sanitize.sh"
# shellcheck source=build/soak.sh
. "$ROOT/build/soak.sh"
# shellcheck source=build/bench.sh
. "$ROOT/build/bench.sh"
# shellcheck source=build/docker.sh
. "$ROOT/build/docker.sh"
# shellcheck source=build/fleet.sh
. "$ROOT/build/fleet.sh"
# shellcheck source=build/matrix.sh
. "$ROOT/build/matrix.sh"
# shellcheck source=build/package.sh
. "$ROOT/build/package.sh"

usage() {
    cat <<'HELP'
usage: ./build.sh VERB [OPTION]

verbs
  build         build dist/ngx_http_token_auth_module.so for the nginx that is found
  install       copy this module to the folder where nginx looks for modules, then run "nginx -t"
  demo          start nginx with nginx-conf/demo.conf and show which requests get 200, 401, 403
                and 410
  test          run everything that must pass: lints, licences, unit and integration tests, the demo
  test NAME...  run only the tests whose name contains one of these, with a module that is built quickly
  fuzz [SECONDS]  fuzz the core, each target for this time (default: 600 seconds)
  sanitize [NAME...]  run the integration tests, or those whose name contains one of these, with nginx
                and the module under AddressSanitizer
  soak [SECONDS]  send mixed traffic with reloads for this time (default: 600 seconds), and check
                answers, memory and workers; see the options for other kinds of traffic
  bench [SECONDS]  measure what requests cost, compared with HAProxy, Envoy, nginx with Lua and
                secure_link, for this time (default: 900 seconds), and in large configurations;
                write the tables of docs/benchmarks.md
  docker-test   build the Docker image, start it and send requests to it; then start three of it with a
                store of revocation lists, and cut them off from it
  matrix [VERSION...]  run the integration tests with these versions of nginx, or source trees, each
                built from source (default: one of each stable line)
  package       build Debian packages of the last commit, for the nginx of Debian and for that of
                nginx.org (NGINX_VERSION says which release), with their checksums and SBOM,
                into dist/packages
  package-test  do that, build them a second time and compare, and in clean containers install,
                upgrade and purge them
  help          show this text

options
  --vendored    also build nginx itself, from the nginx-src crate, and use it
  --module-only  build: leave out tokenctl
  --keep        demo: leave nginx running
  --quick       test: skip the second round with the vendored nginx; bench: a short run
  --reloads     soak: the number is a number of reloads (default: 1000), not of seconds
  --keys        soak: fetch keys from a provider that changes them every two seconds (default:
                60 seconds)
  --hostile     soak: fetch keys from providers that hang, truncate, never end, redirect and send
                wrong answers, with failing reloads and killed workers (default: 600 seconds)
  --sanitized   soak --hostile: run nginx and the module under AddressSanitizer

environment
  NGINX=/path/to/nginx    the nginx to build for (default: the one on PATH)
  NGINX_VERSION=1.28.0    the nginx version to build for, if no such nginx is on this machine
  NGINX_SOURCE=/path      nginx's source tree, to take the headers from
  NGINX_MIRROR=URL        where to download releases from (default: https://nginx.org/download)
  NGINX_SHA256=...        the checksum that a download must have, if its version is not in
                          build/nginx-releases.txt and its signature cannot be checked
  CI_ADVISORIES=required  test: fail if the list of known vulnerabilities cannot be fetched
  DOCKER_BUILD_NETWORK=host  docker-test: the network of "docker build", if the default has no way out
  FLEET_NETWORK=host    docker-test: the network of the fleet (private or host; default: what works)
  DESTDIR=/path           install: put this in front of the installation path
HELP
}

main() {
    local verb="" argument="" names=() word
    VENDORED=0 MODULE_ONLY=0 KEEP=0 QUICK=0 RELOADS=0 KEYS=0 HOSTILE=0 ASAN=0
    for word in "$@"; do
        case $word in
            --vendored) VENDORED=1 ;;
            --module-only) MODULE_ONLY=1 ;;
            --keep) KEEP=1 ;;
            --quick) QUICK=1 ;;
            --reloads) RELOADS=1 ;;
            --keys) KEYS=1 ;;
            --hostile) HOSTILE=1 ;;
            --sanitized) ASAN=1 ;;
            -h | --help) verb=help ;;
            -*) die "unknown option $word; ./build.sh help lists all options" ;;
            *)
                if [[ $verb =~ ^(fuzz|soak|bench)$ && -z $argument ]]; then
                    argument=$word
                    continue
                fi
                if [[ $verb =~ ^(test|matrix|sanitize)$ ]]; then
                    names+=("$word")
                    continue
                fi
                [[ -z $verb ]] || die "give only one verb, not both $verb and $word"
                verb=$word
                ;;
        esac
    done
    case $verb in
        build) verb_build ;;
        install) verb_install ;;
        demo) verb_demo ;;
        test) if ((${#names[@]})); then verb_test_named "${names[@]}"; else verb_test; fi ;;
        fuzz) verb_fuzz "$argument" ;;
        sanitize) verb_sanitize ${names[@]+"${names[@]}"} ;;
        soak) verb_soak "$argument" ;;
        bench) verb_bench "$argument" ;;
        docker-test) verb_docker_test ;;
        matrix) verb_matrix ${names[@]+"${names[@]}"} ;;
        package) verb_package ;;
        package-test) verb_package_test ;;
        help | "") usage ;;
        *) die "unknown verb $verb; ./build.sh help lists all verbs" ;;
    esac
}

main "$@"

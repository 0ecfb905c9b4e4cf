#!/usr/bin/env bash
# Builds, shows, tests and installs the nginx module. `./build.sh help` lists the verbs.
#
# The pieces are in build/: common.sh (messages, packages), nginx.sh (which nginx, its headers),
# module.sh (build, install), demo.sh (demo), fuzz.sh (fuzz), check.sh (test), sanitize.sh (sanitize),
# soak.sh (soak), bench.sh (bench), docker.sh (docker-test). self-test.sh, a part of test, checks some
# of these pieces themselves. What they need Rust for is in xtask/.
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

usage() {
    cat <<'HELP'
usage: ./build.sh VERB [OPTION]

verbs
  build         build dist/ngx_http_token_auth_module.so for the nginx that is found
  install       put that module where nginx looks for modules, then run "nginx -t"
  demo          start nginx with nginx-conf/demo.conf and show what gets 200, 401, 403 and 410
  test          everything that must pass: lints, licences, unit and integration tests, the demo
  test NAME...  only the tests whose name contains one of these, with a module that is built quickly
  fuzz [SECONDS]  fuzz the core, each target for so long (600 seconds)
  sanitize      the integration tests with nginx and the module under AddressSanitizer
  soak [SECONDS]  mixed traffic with reloads for so long (600 seconds), or with --reloads for so
                many reloads (1000): answers, memory and workers must stay as they should be;
                with --keys for so long (60 seconds) with keys that a provider rotates; with
                --hostile for so long (600 seconds) with providers that hang, truncate, stream,
                redirect and lie, failing reloads and killed workers, and with --sanitized that
                under AddressSanitizer
  bench [SECONDS]  what requests cost beside HAProxy, Envoy, nginx with Lua and secure_link (900
                seconds), and in large configurations; writes the tables of docs/benchmarks.md
  docker-test   build the Docker image, start it and drive it from outside
  help          this text

options
  --vendored    build nginx itself too, from the nginx-src crate, and use that one
  --keep        demo: leave nginx running
  --quick       test: skip the second round against the vendored nginx; bench: a short run
  --reloads     soak: the number is one of reloads, not of seconds
  --keys        soak: keys are fetched, and rotated every two seconds
  --hostile     soak: keys are fetched from providers that do everything wrong
  --sanitized   soak --hostile: with nginx and the module under AddressSanitizer

environment
  NGINX=/path/to/nginx    the nginx to build for (otherwise: the one on PATH)
  NGINX_VERSION=1.28.0    build for this version; no nginx of that version has to be here
  NGINX_SOURCE=/path      the source tree of nginx that the headers are taken from
  NGINX_MIRROR=URL        where releases are downloaded from, instead of https://nginx.org/download
  NGINX_SHA256=...        the checksum of such a download, for a version that is not in
                          build/nginx-releases.txt and whose signature cannot be checked
  CI_ADVISORIES=required  test: fail where the list of known vulnerabilities cannot be reached
  DOCKER_BUILD_NETWORK=host  docker-test: the network of "docker build", where the default has no way out
  DESTDIR=/path           install: put in front of the path
HELP
}

main() {
    local verb="" argument="" names=() word
    VENDORED=0 KEEP=0 QUICK=0 RELOADS=0 KEYS=0 HOSTILE=0 ASAN=0
    for word in "$@"; do
        case $word in
            --vendored) VENDORED=1 ;;
            --keep) KEEP=1 ;;
            --quick) QUICK=1 ;;
            --reloads) RELOADS=1 ;;
            --keys) KEYS=1 ;;
            --hostile) HOSTILE=1 ;;
            --sanitized) ASAN=1 ;;
            -h | --help) verb=help ;;
            -*) die "there is no option $word; ./build.sh help lists them" ;;
            *)
                if [[ $verb =~ ^(fuzz|soak|bench)$ && -z $argument ]]; then
                    argument=$word
                    continue
                fi
                if [[ $verb == test ]]; then
                    names+=("$word")
                    continue
                fi
                [[ -z $verb ]] || die "one verb at a time: $verb or $word"
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
        sanitize) verb_sanitize ;;
        soak) verb_soak "$argument" ;;
        bench) verb_bench "$argument" ;;
        docker-test) verb_docker_test ;;
        help | "") usage ;;
        *) die "there is no verb $verb; ./build.sh help lists them" ;;
    esac
}

main "$@"

# shellcheck shell=bash
# demo: nginx-conf/demo.conf in a folder of its own, and what its locations answer.

verb_demo() {
    build_module
    build_tokenctl
    run_demo
}

# The demo with the module and tokenctl of DIST and the nginx NGX_BIN. What is asked, and what must be
# answered, is in xtask/src/requests.rs.
run_demo() {
    local folder keep=()
    [[ -n $NGX_BIN ]] || die "demo: there is no nginx $NGX_VERSION here to start; leave NGINX_VERSION
away, name one with NGINX=/path/to/nginx, or take --vendored"
    folder=$(mktemp -d "${TMPDIR:-/tmp}/ngx-token-auth-demo.XXXXXX")
    if ((KEEP)); then
        keep=(--keep)
    else
        ON_EXIT+=("rm -rf $folder")
    fi
    prepare_demo "$folder"
    step "demo: nginx $NGX_VERSION with nginx-conf/demo.conf"
    # Relative, because --keep prints commands to copy.
    xtask demo --nginx "$NGX_BIN" --tokenctl "${DIST#"$ROOT"/}/tokenctl" --folder "$folder" \
        ${keep[@]+"${keep[@]}"} || die "the demo did not go as it should; see above"
    ((KEEP)) || rm -rf "$folder"
}

# Everything that demo.conf names, beside it.
prepare_demo() { # FOLDER
    local folder=$1
    # Workers run as nobody, and mktemp's folders are for their owner only.
    chmod 755 "$folder"
    mkdir -p "$folder/modules" "$folder/logs" "$folder/private"
    chmod 700 "$folder/private"
    cp "$DIST/$MODULE_NAME" "$folder/modules/"
    cp -r nginx-conf/demo "$folder/demo"
    mv "$folder/demo/html" "$folder/html"
    chmod -R a+rX "$folder/demo" "$folder/html"
    quietly "tokenctl keys" "$DIST/tokenctl" keys --alg RS256 --kid demo --out "$folder/private/demo" ||
        die "no keys for the demo; see above"
    cp "$folder/private/demo.jwks.json" "$folder/demo/keys.json"
    quietly "tokenctl keys" "$DIST/tokenctl" keys --alg ES256 --out "$folder/demo/login" ||
        die "no signing key for the demo; see above"
}

# shellcheck shell=bash
# build and install.

MODULE_NAME=ngx_http_token_auth_module.so
DIST=$ROOT/dist # `test` puts its other builds into subfolders
PROFILE=release # or dev, which is built quickly

verb_build() {
    build_module
    ((MODULE_ONLY)) || build_tokenctl
    local load=modules/$MODULE_NAME
    step "done"
    say "  for nginx      $NGX_VERSION${NGX_BIN:+ ($NGX_BIN)}"
    say "  module         ${DIST#"$ROOT"/}/$MODULE_NAME ($(size_of "$DIST/$MODULE_NAME"))"
    ((MODULE_ONLY)) || say "  command line   ${DIST#"$ROOT"/}/tokenctl"
    say "  nginx.conf     load_module $load;   (first lines of the file)"
    say "Next: ./build.sh demo shows it at work, ./build.sh install puts it where nginx looks."
}

size_of() { du -h --apparent-size "$1" | awk '{print $1}'; }

# Sets NGX_* and leaves the module in DIST.
build_module() {
    setup_rust
    setup_build_packages
    if ((VENDORED)); then
        build_vendored
    else
        find_nginx
        find_headers
        step "building the module for nginx $NGX_VERSION${NGX_BIN:+ ($NGX_BIN)}"
        NGINX_SOURCE_DIR=$NGX_SRC NGINX_BUILD_DIR=$NGX_OBJS \
            cargo_build "$(profile_folder)/lib$MODULE_NAME" --profile $PROFILE -p ngx-token-auth
    fi
    put "$BUILT" "$DIST/$MODULE_NAME"
    # What it was built for: install reads it.
    say "$NGX_VERSION" >"$DIST/nginx-version"
    [[ -z $NGX_BIN ]] || check_loads "$DIST/$MODULE_NAME"
}

# The feature builds nginx itself inside the build script of nginx-sys.
build_vendored() {
    local objs
    [[ -z $WANT_NGINX${NGINX_VERSION:-}${NGINX_SOURCE:-} ]] ||
        note "--vendored: NGINX, NGINX_VERSION and NGINX_SOURCE are ignored"
    NGX_VERSION=$(crate_version)
    step "building the module, and nginx $NGX_VERSION with it (some minutes the first time)"
    vendored_env cargo_build "$(profile_folder)/lib$MODULE_NAME" --profile $PROFILE -p ngx-token-auth \
        --features vendored --message-format=json-render-diagnostics >"$SCRATCH/cargo.json"
    objs=$(xtask vendored-nginx "$SCRATCH/cargo.json") || die "cargo did not say where it built nginx"
    NGX_BIN=$CACHE/vendored/nginx
    put "$objs/nginx" "$NGX_BIN"
    NGX_OBJS=$objs NGX_SRC=$(crate_source)
    inspect_nginx
}

# With these set nginx-sys would take them rather than build what it carries.
vendored_env() {
    unset NGINX_SOURCE_DIR NGINX_BUILD_DIR
    "$@"
}

build_tokenctl() {
    step "building tokenctl"
    # A run of its own: built together, the module would get every feature that tokenctl asks of
    # a shared dependency.
    cargo_build "$(profile_folder)/tokenctl" --profile $PROFILE -p tokenctl
    put "$BUILT" "$DIST/tokenctl"
}

profile_folder() { if [[ $PROFILE == dev ]]; then say debug; else say $PROFILE; fi; }

# Builds a file, named as it is called in the target folder, and sets BUILT to it.
cargo_build() { # FILE, cargo's arguments
    BUILT=$TARGET/$1
    shift
    # A file of an earlier build must not pass for one of this build.
    rm -f "$BUILT"
    cargo build --locked "$@" || die "cargo build failed; see above"
    [[ -f $BUILT ]] || die "the build left no $BUILT; does cargo's configuration set build.target?"
}

# put FROM TO: replaces the file as a whole. nginx maps it, and writing into a mapped file would crash
# its workers.
put() {
    [[ -f $1 ]] || die "the build left no ${2##*/}"
    mkdir -p "$(dirname "$2")"
    cp -f "$1" "$2.new"
    mv -f "$2.new" "$2"
}

# nginx compares version and signature when it loads the file, and the module compares the structures when
# `http` is read. Only these checks decide.
check_loads() { # MODULE
    local dir=$SCRATCH/loads name paths=""
    mkdir -p "$dir/logs"
    # The folders that nginx was built with may be root's.
    for name in proxy fastcgi uwsgi scgi; do
        [[ $NGX_ARGS == *"--without-http_${name}_module"* ]] || paths+="${name}_temp_path $dir/$name; "
    done
    printf 'load_module "%s";\nerror_log stderr;\npid "%s/pid";\nevents {}\nhttp { access_log off; %s }\n' \
        "$1" "$dir" "client_body_temp_path $dir/body; $paths" >"$dir/nginx.conf"
    "$NGX_BIN" -t -p "$dir/" -c "$dir/nginx.conf" >"$dir/out" 2>&1 </dev/null && return
    cat "$dir/out" >&2
    die "$NGX_BIN does not load the module; its own words are above"
}

# --- install ----------------------------------------------------------------------------------

# Builds only when no module is there yet: root, who installs, often has no Rust.
verb_install() {
    local built="" dir target backup="" problem=""
    ((!VENDORED)) || die "the vendored nginx is only there for demo and test, so nothing is installed for
it; NGINX=/path/to/nginx ./build.sh install names another nginx than the one on PATH"
    find_nginx
    [[ -n $NGX_BIN ]] || die "there is no nginx $NGX_VERSION here to install the module for;
NGINX=/path/to/nginx names one"
    [[ ! -f $DIST/nginx-version || ! -f $DIST/$MODULE_NAME ]] || built=$(<"$DIST/nginx-version")
    if [[ -z $built ]]; then
        build_module
    elif [[ $built != "$NGX_VERSION" ]]; then
        die "dist/$MODULE_NAME was built for nginx $built, but $NGX_BIN is $NGX_VERSION: run
./build.sh build again for this one"
    fi
    check_loads "$DIST/$MODULE_NAME"

    dir=$(modules_path)
    target=${DESTDIR:-}$dir/$MODULE_NAME
    RUN_AS=()
    if ! mkdir -p "${target%/*}" 2>/dev/null || [[ ! -w ${target%/*} ]]; then
        can_be_root || die "${target%/*} is not writable; run this as root, or set DESTDIR="
        RUN_AS=(as_root)
    fi
    ${RUN_AS[@]+"${RUN_AS[@]}"} mkdir -p "${target%/*}"
    if [[ -f $target ]]; then
        backup=$target.old
        ${RUN_AS[@]+"${RUN_AS[@]}"} ln -f "$target" "$backup"
    fi
    ${RUN_AS[@]+"${RUN_AS[@]}"} install -m 644 "$DIST/$MODULE_NAME" "$target.new"
    ${RUN_AS[@]+"${RUN_AS[@]}"} mv -f "$target.new" "$target"

    if [[ -z ${DESTDIR:-} ]]; then
        # Only root can read everything that a configuration names.
        problem=$(${RUN_AS[@]+"${RUN_AS[@]}"} "$NGX_BIN" -t 2>&1) && problem=""
    fi
    if [[ -n $problem && -n $backup ]]; then
        ${RUN_AS[@]+"${RUN_AS[@]}"} mv -f "$backup" "$target"
        printf '%s\n' "$problem" >&2
        die "nginx -t fails with the new module, so the old one is back in its place"
    fi
    [[ -z $backup ]] || ${RUN_AS[@]+"${RUN_AS[@]}"} rm -f "$backup"
    say "installed $target"
    if [[ -n $problem ]]; then
        printf '%s\n' "$problem" >&2
        die "nginx -t fails; its own words are above. The module is installed; nothing loads it yet."
    elif [[ -z ${DESTDIR:-} ]]; then
        say "nginx -t: ok"
    fi
    say "Put this line at the top of nginx.conf:"
    say "    load_module $dir/$MODULE_NAME;"
    if [[ -d /etc/nginx/modules-enabled && $(nginx_arg conf-path) == /etc/nginx/nginx.conf ]]; then
        say "or, as Debian does it, into a file of its own:"
        say "    echo 'load_module $dir/$MODULE_NAME;' > /etc/nginx/modules-enabled/50-mod-http-token-auth.conf"
    fi
    [[ -z $backup ]] || say "nginx keeps the old module until it is restarted; a reload is not enough."
}

nginx_arg() { # NAME: the value of one configure argument, whose values never hold blanks here
    sed -n "s/.*--$1=\([^ ]*\).*/\1/p" <<<" $NGX_ARGS" | head -n 1
}

nginx_prefix() {
    local prefix
    prefix=$(nginx_arg prefix)
    prefix=${prefix:-/usr/local/nginx}
    say "${prefix%/}"
}

modules_path() {
    local path
    path=$(nginx_arg modules-path)
    path=${path:-modules}
    [[ $path == /* ]] || path=$(nginx_prefix)/$path
    say "${path%/}"
}

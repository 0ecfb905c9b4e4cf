# shellcheck shell=bash
# demo: nginx-conf/demo.conf in a folder of its own, and what its locations answer.

# Azion's example: kid and secret as in nginx-conf/demo/azion-args.json.
DEMO_KID=4546D4AA7F62F01A833A7ABE354030E7
DEMO_SECRET=D6CB2342E44EFB6DD628276F36DA2359
DEMO_LINK_SECRET=mysecretkey
DEMO_KEY_ID=demo

# How tokenctl is called and where it finds the demo's key pair; docker-test has its own.
TOKENCTL=()
DEMO_KEYS=""

verb_demo() {
    setup_curl
    build_module
    build_tokenctl
    run_demo
}

# The demo with the module and tokenctl of DIST and the nginx NGX_BIN.
run_demo() {
    local prefix port status=0
    [[ -n $NGX_BIN ]] || die "demo: there is no nginx $NGX_VERSION here to start; leave NGINX_VERSION
away, name one with NGINX=/path/to/nginx, or take --vendored"
    prefix=$(mktemp -d "${TMPDIR:-/tmp}/ngx-token-auth-demo.XXXXXX")
    ((KEEP)) || ON_EXIT+=("rm -rf $prefix")
    TOKENCTL=("$DIST/tokenctl")
    DEMO_KEYS=$prefix/private/$DEMO_KEY_ID
    prepare_prefix "$prefix"
    start_nginx "$prefix"
    port=$(<"$prefix/port")

    step "demo: nginx $NGX_VERSION on 127.0.0.1:$port with nginx-conf/demo.conf"
    drive "http://127.0.0.1:$port" || status=$?
    check_log "$prefix/error.log" || status=1
    if ((KEEP)); then
        print_kept "$prefix" "$port"
    else
        stop_nginx "$(<"$prefix/pid")"
        rm -rf "$prefix"
    fi
    ((status == 0)) || die "the demo did not go as it should; see above"
}

# demo.conf is used as it is: its paths are relative to the prefix, so only the port is put in.
prepare_prefix() { # DIR
    local dir=$1
    # Workers run as nobody, and mktemp's folders are for their owner only.
    chmod 755 "$dir"
    mkdir -p "$dir/modules" "$dir/logs" "$dir/private"
    chmod 700 "$dir/private"
    cp "$DIST/$MODULE_NAME" "$dir/modules/"
    cp -r nginx-conf/demo "$dir/demo"
    mv "$dir/demo/html" "$dir/html"
    chmod -R a+rX "$dir/demo" "$dir/html"
    make_demo_keys "$DEMO_KEYS"
    cp "$DEMO_KEYS.jwks.json" "$dir/demo/keys.json"
}

make_demo_keys() { # PREFIX OF THE FILES
    quietly "tokenctl keys" "$DIST/tokenctl" keys --alg RS256 --kid "$DEMO_KEY_ID" --out "$1" ||
        die "no keys for the demo; see above"
}

# A port that was free a moment ago may be taken by the time nginx binds it, hence the loop.
start_nginx() { # DIR; writes DIR/port and DIR/pid
    local dir=$1 port pid try i
    for ((try = 0; try < 20; try++)); do
        port=$((20000 + RANDOM % 12000))
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
        sed "s/listen 80;/listen 127.0.0.1:$port;/" nginx-conf/demo.conf >"$dir/nginx.conf"
        # In a session of its own, so that ^C at a kept demo does not end it.
        setsid "$NGX_BIN" -p "$dir/" -c "$dir/nginx.conf" -g "daemon off; pid $dir/nginx.pid;" \
            >"$dir/error.log" 2>&1 </dev/null &
        pid=$!
        ((KEEP)) || ON_EXIT+=("stop_nginx $pid")
        for ((i = 0; i < 100; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            if [[ -s $dir/nginx.pid ]] && curl -s -m 2 -o /dev/null "http://127.0.0.1:$port/"; then
                printf '%s\n' "$port" >"$dir/port"
                printf '%s\n' "$pid" >"$dir/pid"
                return
            fi
            sleep 0.1
        done
        kill "$pid" 2>/dev/null || true
        grep -q 'Address already in use' "$dir/error.log" && continue
        cat "$dir/error.log" >&2
        die "nginx did not start with nginx-conf/demo.conf; its own words are above"
    done
    die "no free port was found on 127.0.0.1"
}

stop_nginx() { # PID
    local i
    kill -QUIT "$1" 2>/dev/null || return 0
    for ((i = 0; i < 50; i++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

# Nothing that alarms, and nothing secret: no part of a token, a secret or a link's signature.
check_log() { # FILE
    if grep -E '\[(alert|emerg|crit)\]|panicked' "$1" >&2; then
        say "nginx's log has alarming lines; they are above"
        return 1
    fi
    if grep -E "eyJ|st=|$DEMO_SECRET|$DEMO_LINK_SECRET" "$1" >&2; then
        say "nginx's log has something secret in it; the lines are above"
        return 1
    fi
}

# --- the requests, shared with docker-test ----------------------------------------------------

mint() { "${TOKENCTL[@]}" jwt --claim sub=alice "$@" </dev/null | tr -d '\r'; }
link() { "${TOKENCTL[@]}" url --secret "$DEMO_LINK_SECRET" "$@" </dev/null | tr -d '\r'; }

DRIVE_PASSED=0
DRIVE_FAILED=0

# ask WANT WHAT PATH [TOKEN]
ask() {
    local want=$1 what=$2 path=$3 token=${4-} got why mark=ok args=()
    [[ -z $token ]] || args=(-H "Authorization: Bearer $token")
    got=$(curl -s -m 10 -o "$SCRATCH/body" -D "$SCRATCH/head" -w '%{http_code}' ${args[@]+"${args[@]}"} \
        "$DRIVE_BASE$path") || got="no answer"
    why=$(tr -d '\r' <"$SCRATCH/head" 2>/dev/null |
        sed -n 's/^\(WWW-Authenticate\|X-User\|X-Secure-Token\): /\1: /Ip' | head -n 1)
    if [[ $got == "$want" ]]; then
        DRIVE_PASSED=$((DRIVE_PASSED + 1))
    else
        DRIVE_FAILED=$((DRIVE_FAILED + 1))
        mark="WRONG, $want was expected"
    fi
    printf '\n%s  %s  [%s]\n' "$got" "$what" "$mark"
    # Long values are cut: they are for the eye here, and --keep prints whole commands.
    if [[ -n $token ]]; then
        printf "     curl -H 'Authorization: Bearer %s' %s\n" "$(cut_to 24 "$token")" "$DRIVE_BASE$path"
    else
        printf "     curl '%s'\n" "$DRIVE_BASE$(cut_to 60 "$path")"
    fi
    [[ -z $why ]] || printf '     %s\n' "$why"
}

cut_to() { if ((${#2} > $1)); then printf '%s...' "${2:0:$1}"; else printf '%s' "$2"; fi; }

drive() { # URL
    local token signed public
    DRIVE_BASE=$1 DRIVE_PASSED=0 DRIVE_FAILED=0

    ask 200 "open: nothing is asked" /

    say
    say "-- /jwt/: secrets by kid (Azion's JSON Args)"
    ask 401 "no token" /jwt/hello.txt
    token=$(mint --alg HS256 --secret "$DEMO_SECRET" --kid "$DEMO_KID" --lifetime 5m)
    ask 200 "a good token" /jwt/hello.txt "$token"
    ask 401 "the same token, one character of its claims changed" /jwt/hello.txt "$(tampered "$token")"
    ask 401 "signed with another secret" /jwt/hello.txt \
        "$(mint --alg HS256 --secret 00000000000000000000000000000000 --kid "$DEMO_KID" --lifetime 5m)"
    ask 401 "a kid that is not in the list" /jwt/hello.txt \
        "$(mint --alg HS256 --secret "$DEMO_SECRET" --kid nobody --lifetime 5m)"
    ask 401 "expired an hour ago" /jwt/hello.txt \
        "$(mint --alg HS256 --secret "$DEMO_SECRET" --kid "$DEMO_KID" --lifetime -1h)"
    ask 401 "no token at all, just a word" /jwt/hello.txt letmein

    say
    say "-- /jwks/: public keys (JWK Set)"
    ask 401 "no token" /jwks/hello.txt
    ask 200 "signed with the private key, RS256" /jwks/hello.txt \
        "$(mint --alg RS256 --key "$DEMO_KEYS.pem" --kid "$DEMO_KEY_ID" --lifetime 5m)"
    public=$(read_key "$DEMO_KEYS.pub.pem")
    ask 401 "HS256 with the public key as the secret" /jwks/hello.txt \
        "$(mint --alg HS256 --secret "$public" --kid "$DEMO_KEY_ID" --lifetime 5m)"

    say
    say "-- /video/: signed links (Azion's secure token)"
    ask 403 "no signature" /video/clip.txt
    signed=$(link --alg md5 --lifetime 1h /video/clip.txt)
    ask 200 "a good link, in Azion's own form (MD5)" "$signed"
    ask 200 "a good link, HMAC-SHA256" "$(link --alg hmac-sha256 --lifetime 1h /video/clip.txt)"
    ask 403 "the signature of another file" "/video/other.txt?${signed#*\?}"
    ask 403 "the time changed by hand" "${signed%e=*}e=2000000000"
    ask 410 "a good link that has expired" "$(link --alg md5 --expires 1470055000 /video/clip.txt)"

    say
    say "requests: $DRIVE_PASSED passed, $DRIVE_FAILED failed"
    ((DRIVE_FAILED == 0))
}

read_key() { cat "$1"; }

# The 8th character of the claims; in the middle, where no bit of it is padding.
tampered() {
    local head=${1%%.*} rest=${1#*.} c
    c=${rest:7:1}
    if [[ $c == A ]]; then c=B; else c=A; fi
    printf '%s.%s%s%s' "$head" "${rest:0:7}" "$c" "${rest:8}"
}

print_kept() { # DIR PORT
    local dir=$1 base=http://127.0.0.1:$2 ctl=${DIST#"$ROOT"/}/tokenctl
    cat <<KEPT

nginx goes on at $base (its log: $dir/error.log). To try from $ROOT:

  token=\$($ctl jwt --alg HS256 --secret $DEMO_SECRET --kid $DEMO_KID --claim sub=alice --lifetime 1h)
  curl -i -H "Authorization: Bearer \$token" $base/jwt/hello.txt

  token=\$($ctl jwt --alg RS256 --key $DEMO_KEYS.pem --kid $DEMO_KEY_ID --claim sub=alice --lifetime 1h)
  curl -i -H "Authorization: Bearer \$token" $base/jwks/hello.txt

  curl -i "$base\$($ctl url --secret $DEMO_LINK_SECRET --lifetime 1m /video/clip.txt)"

To stop it:  kill -QUIT $(<"$dir/pid"); rm -r $dir
KEPT
}

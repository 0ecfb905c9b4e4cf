#!/usr/bin/env bash
# CPU time that an nginx worker spends per request, with the check and for the very same request
# without it, side by side in one run: the cases take turns, so that a machine whose speed drifts
# slows all of them alike.
#
#   ./build.sh build && bench/cpu-per-request.sh [ROUNDS] [SECONDS]
#
# Wants wrk (Debian's package of that name). One worker, keep-alive, loopback; the load stops by
# itself after ROUNDS x SECONDS x cases. Wall time does not count: the figure is the worker's own
# on-CPU time (/proc/PID/schedstat) over the requests that it answered.
#
# An algorithm by itself is one token over and over, which jwt_cache knows. With "-new" 64 tokens take
# turns where there is room for fewer, so that none is known when it comes and each makes room.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROUNDS=${1:-7} SECONDS_EACH=${2:-2}
NGINX=${NGINX:-$(PATH=$PATH:/usr/sbin command -v nginx)}
BINARY=$NGINX
unset NGINX # nginx itself reads this variable, as a list of inherited sockets
PORT=${PORT:-18080}
DIR=$(mktemp -d)
PID=
stop() {
    if [[ -n $PID ]]; then kill "$PID"; fi
    rm -rf "$DIR"
}
trap stop EXIT

CLAIMS=(--iss https://issuer.example --aud api --sub user-4711 --claim 'scope=read write' --lifetime 1d)
mkdir "$DIR/logs"
for alg in RS256 ES256 EdDSA; do
    dist/tokenctl keys --alg $alg --kid k-$alg --out "$DIR/$alg" >/dev/null
done
SECRET=0123456789abcdef0123456789abcdef
declare -A HEADER=([link]='X-None: 1' [secure_link]='X-None: 1')
HEADER[HS256]="Authorization: Bearer $(dist/tokenctl jwt --alg HS256 --secret $SECRET --kid k-HS256 "${CLAIMS[@]}")"
for alg in RS256 ES256 EdDSA; do
    HEADER[$alg]="Authorization: Bearer $(dist/tokenctl jwt --key "$DIR/$alg.pem" --alg $alg --kid k-$alg "${CLAIMS[@]}")"
done
HEADER[off]=${HEADER[HS256]}
for ((n = 0; n < 64; n++)); do
    other=("${CLAIMS[@]}" --claim "jti=n-$n")
    dist/tokenctl jwt --alg HS256 --secret $SECRET --kid k-HS256 "${other[@]}" >>"$DIR/HS256-new"
    for alg in RS256 ES256 EdDSA; do
        dist/tokenctl jwt --key "$DIR/$alg.pem" --alg $alg --kid k-$alg "${other[@]}" >>"$DIR/$alg-new"
    done
done
cat >"$DIR/turns.lua" <<'LUA'
local requests, n = {}, 0
function init()
    for token in io.lines(os.getenv("TOKENS")) do
        requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. token })
    end
end
function request()
    n = n % #requests + 1
    return requests[n]
end
LUA
declare -A PATH_OF=([off]=/off)
for alg in HS256 RS256 ES256 EdDSA; do
    PATH_OF[$alg]=/$alg PATH_OF[$alg-new]=/$alg HEADER[$alg-new]=${HEADER[$alg]}
done
PATH_OF[link]=$(dist/tokenctl url --secret $SECRET --lifetime 1d /link)
PATH_OF[secure_link]=$(dist/tokenctl url --secret $SECRET --lifetime 1d /secure_link)

RULES='jwt_issuer https://issuer.example; jwt_audience api; jwt_claim scope any read;'
cat >"$DIR/nginx.conf" <<CONF
load_module $PWD/dist/ngx_http_token_auth_module.so;
worker_processes 1;
pid $DIR/nginx.pid;
error_log $DIR/logs/error.log error;
$([[ $(id -u) != 0 ]] || echo 'user root;')
events { worker_connections 256; }
http {
    access_log off;
    jwt_cache 32k;
    keepalive_requests 1000000000;
    client_body_temp_path $DIR/body; proxy_temp_path $DIR/proxy; fastcgi_temp_path $DIR/fastcgi;
    uwsgi_temp_path $DIR/uwsgi; scgi_temp_path $DIR/scgi;
    server {
        listen 127.0.0.1:$PORT;
        location /none { empty_gif; }
        location /off { empty_gif; jwks_file $DIR/RS256.jwks.json; jwt off; }
        location /HS256 { empty_gif; jwt_kids { k-HS256 $SECRET; } $RULES }
        location /RS256 { empty_gif; jwks_file $DIR/RS256.jwks.json; $RULES }
        location /ES256 { empty_gif; jwks_file $DIR/ES256.jwks.json; $RULES }
        location /EdDSA { empty_gif; jwks_file $DIR/EdDSA.jwks.json; $RULES }
        location /link { empty_gif; secure_token_secret $SECRET; }
        location /secure_link {
            secure_link \$arg_st,\$arg_e;
            secure_link_md5 "$SECRET\$uri\$secure_link_expires";
            if (\$secure_link != 1) { return 403; }
            empty_gif;
        }
    }
}
CONF
"$BINARY" -c "$DIR/nginx.conf"
PID=$(cat "$DIR/nginx.pid")
WORKER=$(pgrep -P "$PID")

cpu() { cut -d' ' -f1 "/proc/$WORKER/schedstat"; }

load() { # CASE PATH: nanoseconds per request
    local before requests what=(-H "${HEADER[$1]}")
    if [[ $1 == *-new ]]; then
        what=(-s "$DIR/turns.lua")
    fi
    before=$(cpu)
    requests=$(TOKENS=$DIR/$1 wrk -t1 -c8 -d"${SECONDS_EACH}s" "${what[@]}" "http://127.0.0.1:$PORT$2" |
        awk '/requests in/ { n = $1 } /Non-2xx/ { n = "refused" } END { print n }')
    [[ $requests != refused ]] || { echo "$1 was refused" >&2; exit 1; }
    echo $((($(cpu) - before) / requests))
}

CASES=(off link secure_link HS256 RS256 ES256 EdDSA HS256-new RS256-new ES256-new EdDSA-new)
for case in "${CASES[@]}"; do
    status=$(curl -s -o /dev/null -w '%{http_code}' -H "${HEADER[$case]}" "http://127.0.0.1:$PORT${PATH_OF[$case]}")
    [[ $status == 200 ]] || { echo "$case answers $status" >&2; exit 1; }
done
for ((round = 1; round <= ROUNDS; round++)); do
    for case in "${CASES[@]}"; do
        query=${PATH_OF[$case]#*\?}
        without=$(load "$case" "/none?$query")
        with=$(load "$case" "${PATH_OF[$case]}")
        echo "$case $without $with $((with - without))" >>"$DIR/figures"
    done
done

column() { # CASE COLUMN: minimum and median
    awk -v c="$1" -v k="$2" '$1 == c { print $k }' "$DIR/figures" | sort -n |
        awk '{ v[NR] = $1 } END { print v[1], v[int((NR + 1) / 2)] }'
}

echo "nanoseconds of CPU per request, $ROUNDS rounds of $SECONDS_EACH s, 8 connections, nginx $("$BINARY" -v 2>&1 | cut -d/ -f2)"
printf '%-12s %20s %20s %20s\n' '' 'without: min median' 'with: min median' 'check: min median'
for case in "${CASES[@]}"; do
    printf '%-12s' "$case"
    for k in 2 3 4; do
        read -r least median <<<"$(column "$case" $k)"
        printf ' %13d %6d' "$least" "$median"
    done
    echo
done

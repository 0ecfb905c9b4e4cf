#!/usr/bin/env bash
# Counts how often an nginx with the module allocates memory for a request whose token it has seen
# before, and for the same request without a check: both must be the same.
#
#   build/allocations.sh NGINX MODULE TOKENCTL
#
# Wants valgrind and curl. The count is of the whole process, so that nothing that the module has nginx
# allocate is left out; what is there once only is in two counts of one process each, and cancels out.
set -euo pipefail

BINARY=$1 MODULE=$2 TOKENCTL=$3
unset NGINX # nginx itself reads this variable, as a list of inherited sockets
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
SECRET=0123456789abcdef0123456789abcdef FEW=100 MANY=600
TOKEN=$("$TOKENCTL" jwt --alg HS256 --secret $SECRET --kid k --iss https://issuer.example --aud api \
    --sub someone --claim 'scope=read write' --lifetime 1d)
mkdir "$DIR/logs"
cat >"$DIR/nginx.conf" <<CONF
load_module $MODULE;
master_process off;
daemon off;
pid $DIR/nginx.pid;
error_log $DIR/logs/error.log error;
events { worker_connections 64; }
http {
    access_log off;
    keepalive_requests 100000;
    client_body_temp_path $DIR/body; proxy_temp_path $DIR/proxy; fastcgi_temp_path $DIR/fastcgi;
    uwsgi_temp_path $DIR/uwsgi; scgi_temp_path $DIR/scgi;
    server {
        listen unix:$DIR/socket;
        location /none { empty_gif; }
        location /check {
            empty_gif;
            jwt_kids { k $SECRET; }
            jwt_issuer https://issuer.example;
            jwt_audience api;
            jwt_claim scope any read;
        }
    }
}
CONF

ask() { # URL
    curl -s -o /dev/null -w '%{http_code}\n' --unix-socket "$DIR/socket" \
        -H "Authorization: Bearer $TOKEN" "http://localhost$1"
}

count() { # PATH REQUESTS: allocations of a whole process
    local pid wrong
    valgrind --tool=memcheck --leak-check=no --log-file="$DIR/valgrind" "$BINARY" -c "$DIR/nginx.conf" &
    pid=$!
    until [[ $(ask /none) == 200 ]]; do
        kill -0 $pid || exit 1
        sleep 0.1
    done
    wrong=$(ask "$1?[1-$2]" | grep -cvx 200 || true)
    kill -QUIT $pid
    wait $pid
    ((wrong == 0)) || { echo "$1: $wrong of $2 requests were refused" >&2; exit 1; }
    sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' "$DIR/valgrind" | tr -d ,
}

each() { # PATH: allocations of so many requests
    local few many
    few=$(count "$1" $FEW) many=$(count "$1" $MANY)
    echo $((many - few))
}

without=$(each /none) with=$(each /check)
echo "allocations of $((MANY - FEW)) requests: $without without a check, $with with one"
# How often the client was asked whether nginx is there differs by a few.
((with < without + 20))

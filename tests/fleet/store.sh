#!/usr/bin/env bash
# Runs in the store's container: Redis and webdis, as nginx-conf/revocation/ sets them up, but for the ports.
set -euo pipefail

HTTP_HOST=$1 HTTP_PORT=$2 REDIS_PORT=$3

export REDISCLI_AUTH=change-this-password
mkdir -p /data
redis-server /revocation/redis.conf --daemonize yes --bind 127.0.0.1 --port "$REDIS_PORT" --dir /data --logfile /data/log
# While Redis loads its data, webdis would give its error as if it were a list.
until [[ $(redis-cli -p "$REDIS_PORT" ping 2>/dev/null) == PONG ]]; do sleep 0.05; done
sed -e "s/\"redis_port\": 6379/\"redis_port\": $REDIS_PORT/" -e "s/\"http_host\": \"127.0.0.1\"/\"http_host\": \"$HTTP_HOST\"/" \
    -e "s/\"http_port\": 7379/\"http_port\": $HTTP_PORT/" -e 's/"daemonize": true/"daemonize": false/' \
    -e 's|"/var/log/webdis/webdis.log"|"/dev/stderr"|' /revocation/webdis.json >/data/webdis.json
exec webdis /data/webdis.json

#!/usr/bin/env bash
# Runs as root in a clean container without a network: installs the packages in /packages, sends requests,
# upgrades them, and purges them. The argument says whose nginx: debian or nginx.org.
set -euo pipefail

WHOSE=$1
SECRET=0123456789abcdef0123456789abcdef
export DEBIAN_FRONTEND=noninteractive

say() { printf '  %s: %s\n' "$WHOSE" "$*"; }
die() {
    printf 'package-test (%s): %s\n' "$WHOSE" "$*" >&2
    tail -n 20 /var/log/nginx/error.log >&2 2>/dev/null || true
    exit 1
}
install() { apt-get install -y -q --no-install-recommends "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log >&2; return 1; }; }
refused() { # WHAT, command
    local what=$1
    shift
    ! "$@" >/tmp/refused.log 2>&1 || die "$what, though it must not"
}
# Retried, since a reload takes effect when the new workers are there.
expect() { # STATUS PATH [curl's options]
    local want=$1 path=$2 got="" i
    shift 2
    for ((i = 0; i < 50; i++)); do
        got=$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$@" "http://127.0.0.1$path" || true)
        [[ $got != "$want" ]] || return 0
        sleep 0.1
    done
    die "$path answers $got, not $want"
}
# Everything but what runs, what is logged, and what dpkg and apt note.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log -o \
        -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /packages \) -prune -o -print | LC_ALL=C sort
}

case $WHOSE in
    debian)
        MODULE=libnginx-mod-http-token-auth
        NGINX=(/nginx/*.deb)
        start() { service nginx start >/dev/null; }
        reload() { service nginx reload >/dev/null; }
        restart() { service nginx restart >/dev/null; }
        ;;
    nginx.org)
        MODULE=nginx-module-token-auth
        NGINX=(/packages/stand-in-nginx-[!9]*.deb)
        start() { nginx; }
        reload() { nginx -s reload; }
        restart() {
            local pid
            pid=$(</run/nginx.pid)
            nginx -s quit
            while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
            nginx
        }
        ;;
    *) die "whose nginx?" ;;
esac
# The README's first steps, as somebody types them, but that a container has no systemd and root needs no sudo.
first_steps() {
    local started=$SECONDS
    awk '/<!-- first steps -->/ { on = 1 } on && /^```$/ { exit } on && lines { print } /^```sh$/ { lines = on }' \
        /packages/README.md | sed 's/sudo //g; s/systemctl reload nginx/service nginx reload/; s/curl -i/curl -s -i/' >/tmp/steps
    grep -q 'apt install' /tmp/steps || die "the README has no first steps"
    (cd /packages && bash -e /tmp/steps) >/tmp/said 2>&1 || { cat /tmp/said >&2; die "the README's first steps fail"; }
    [[ $(grep -o '^HTTP/1.1 [0-9]*' /tmp/said | tr '\n' ' ') == "HTTP/1.1 401 HTTP/1.1 200 " ]] ||
        { cat /tmp/said >&2; die "the README's first steps do not give 401 and 200"; }
    say "the README's first steps took $((SECONDS - started)) s"
    rm /etc/nginx/conf.d/token-auth-demo.conf
    apt-get purge -y -q "$MODULE" tokenctl >/dev/null 2>&1
}

NEW=(/packages/"$MODULE"_*.deb /packages/tokenctl_*.deb)
FORMER=(/packages/former-"$MODULE"_*.deb /packages/former-tokenctl_*.deb)

configure() { # SECRET
    mkdir -p /etc/nginx/conf.d
    cat >/etc/nginx/conf.d/protected.conf <<CONF
server {
    listen 127.0.0.1:8080;
    location / { jwt_kids { k1 $1; } root /usr/share/doc/$MODULE; }
}
CONF
}
token() { tokenctl jwt --secret "$SECRET" --kid k1 --sub alice --lifetime 5m; }

say "an nginx that the module was not built for"
install /packages/stand-in-nginx-9.9.9-1.deb
refused "the module is installed beside nginx 9.9.9" install --no-remove "${NEW[0]}"
apt-get purge -y -q nginx >/dev/null 2>&1

say "nginx without the module"
install "${NGINX[@]}"
if [[ $WHOSE == nginx.org ]]; then
    mkdir -p /etc/nginx/conf.d /usr/share/nginx/html
    echo welcome >/usr/share/nginx/html/index.html
    echo 'server { listen 80; root /usr/share/nginx/html; }' >/etc/nginx/conf.d/default.conf
fi
start
expect 200 /
files >/tmp/before

if [[ $WHOSE == debian ]]; then first_steps; fi

say "install the former release"
install "${FORMER[@]}"
if [[ $WHOSE == nginx.org ]]; then
    grep -q 'load_module modules/ngx_http_token_auth_module.so;' /tmp/apt.log || die "no word of load_module"
    sed -i '1i load_module modules/ngx_http_token_auth_module.so;' /etc/nginx/nginx.conf
else
    [[ -L /etc/nginx/modules-enabled/50-mod-http-token-auth.conf ]] || die "the module is not enabled"
fi
[[ $(tokenctl --version) == tokenctl\ * ]] || die "tokenctl does not run"
configure "$SECRET"
nginx -t 2>/tmp/t || { cat /tmp/t >&2; die "nginx -t fails"; }
reload
expect 401 :8080/copyright
expect 200 :8080/copyright -H "Authorization: Bearer $(token)"
expect 200 /

say "reload with another secret, and back"
OLD=$(token)
configure "another-secret-of-thirty-two-bytes"
reload
expect 401 :8080/copyright -H "Authorization: Bearer $OLD"
configure "$SECRET"
reload
expect 200 :8080/copyright -H "Authorization: Bearer $OLD"

say "upgrade"
install "${NEW[@]}"
[[ $(dpkg-query -W -f '${Version}' "$MODULE") != *0.0.9* ]] || die "the former release is still there"
expect 200 :8080/copyright -H "Authorization: Bearer $OLD"
restart
expect 200 :8080/copyright -H "Authorization: Bearer $OLD"
expect 401 :8080/copyright
for file in /usr/share/man/man1/tokenctl-jwt.1.gz /usr/share/bash-completion/completions/tokenctl; do
    # Containers often leave manuals out.
    [[ -e $file ]] || dpkg -L tokenctl | grep -qx "$file" || die "no $file"
done

say "the examples, as they stand"
mkdir /tmp/kept
cp -r /etc/nginx /tmp/kept/
cp -r "/usr/share/doc/$MODULE/examples/." /etc/nginx/
count=0
for file in "/usr/share/doc/$MODULE/examples/"*.conf; do
    # Each with nothing but the keys that the comment at its head says how to make.
    rm -rf /etc/nginx/keys
    sed -En 's/^#     (.*(tokenctl keys |basenc|> keys\/).*)/\1/p' "$file" >/tmp/keys.sh
    (cd /etc/nginx && HOME=/tmp bash -e /tmp/keys.sh) >/tmp/t 2>&1 || { cat /tmp/t >&2; die "the keys of ${file##*/}"; }
    nginx -t -c "/etc/nginx/${file##*/}" 2>/tmp/t || { cat /tmp/t >&2; die "${file##*/} does not load"; }
    ! grep '\[warn\]' /tmp/t >&2 || die "${file##*/} loads with a warning"
    count=$((count + 1))
done
say "$count of them load"
((count > 20)) || die "only $count examples"
rm -r /etc/nginx
mv /tmp/kept/nginx /etc/nginx

say "another nginx does not come beside the module"
refused "nginx 9.9.9 replaces the nginx of the module" install --no-remove /packages/stand-in-nginx-9.9.9-1.deb
expect 401 :8080/copyright

say "remove while it is in use"
apt-get remove -y -q "$MODULE" >/tmp/remove.log 2>&1 || { cat /tmp/remove.log >&2; die "it cannot be removed"; }
expect 401 :8080/copyright
expect 200 /

say "purge"
rm /etc/nginx/conf.d/protected.conf
[[ $WHOSE == debian ]] || sed -i '/load_module/d' /etc/nginx/nginx.conf
dpkg --purge "$MODULE" tokenctl >/tmp/purge.log 2>&1 || { cat /tmp/purge.log >&2; die "it cannot be purged"; }
nginx -t 2>/tmp/t || { cat /tmp/t >&2; die "nginx -t fails"; }
reload
expect 200 /
restart
expect 200 /
files >/tmp/after
diff /tmp/before /tmp/after >/tmp/left || { cat /tmp/left >&2; die "something is left, or gone"; }
say "passed"

# nginx with the module and the demo configuration (nginx-conf/demo.conf):
#
#   docker build -t ngx-token-auth .
#   docker run --rm -p 8080:80 ngx-token-auth
#
# For another nginx:  docker build --build-arg NGINX_IMAGE=nginx:1.29-trixie \
#                                  --build-arg RUST_IMAGE=rust:1-trixie .
# Both images have to be of the same distribution release, and Debian's (not alpine).

ARG RUST_IMAGE=rust:1-bookworm
ARG NGINX_IMAGE=nginx:1.28-bookworm

FROM ${RUST_IMAGE} AS rust

# The image that the module will run in is the one that it is built in: same nginx, same libc.
FROM ${NGINX_IMAGE} AS builder
ENV RUSTUP_HOME=/usr/local/rustup \
    CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
WORKDIR /src
COPY . .
# What cargo leaves is a gigabyte that no later step needs.
RUN ./build.sh build && DESTDIR=/out ./build.sh install && rm -rf target

# Everything that the final image gets is laid out under /out. The private key of the demo's /jwks/ stays
# in this stage; `docker build --target builder` gives an image that can mint with it. That of its login,
# which gives everybody a token, is in the image: nginx signs with it.
RUN mkdir -p /private "/out/etc/nginx" \
    && dist/tokenctl keys --alg RS256 --kid demo --out /private/demo \
    && prefix=$(nginx -V 2>&1 | sed -n 's/.*--prefix=\([^ ]*\).*/\1/p') \
    && mkdir -p "/out$prefix" \
    && cp nginx-conf/demo.conf /out/etc/nginx/nginx.conf \
    && cp -r nginx-conf/demo /out/etc/nginx/demo \
    && mv /out/etc/nginx/demo/html "/out$prefix/html" \
    && cp /private/demo.jwks.json /out/etc/nginx/demo/keys.json \
    && dist/tokenctl keys --alg ES256 --out /private/login \
    && cp /private/login.pem /out/etc/nginx/demo/login.pem \
    && chmod -R u=rwX,go=rX /out \
    && chmod 600 /out/etc/nginx/demo/login.pem \
    && cp -r /out/. / \
    && nginx -t

FROM ${NGINX_IMAGE}
COPY --from=builder /out/ /

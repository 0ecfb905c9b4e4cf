//! Compiles the lines of C that know where nginx keeps the flags of a request (src/nginx/request_flags.c).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=src/nginx/request_flags.c");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_INCLUDE");
    // What nginx-sys has made its bindings from.
    let include = env::var_os("DEP_NGINX_INCLUDE").unwrap_or_default();
    cc::Build::new()
        .includes(env::split_paths(&include))
        .file("src/nginx/request_flags.c")
        .warnings(false)
        .compile("token_auth_request_flags");
    // The module's unit tests run without nginx, whose functions none of them calls. (The module itself
    // leaves them open in any case.)
    println!("cargo::rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
}

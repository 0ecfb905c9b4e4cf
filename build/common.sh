# shellcheck shell=bash
# Messages, and the packages and tools that a build needs.

CACHE=$ROOT/.nginx # nginx sources with a configured objs/, one folder per version
TOOLS=$ROOT/.tools # what `test` installs for itself

# Where cargo builds. Every cargo that is started here is told, so its files are found without asking it.
TARGET=${CARGO_TARGET_DIR:-target}
[[ $TARGET == /* ]] || TARGET=$ROOT/$TARGET
export CARGO_TARGET_DIR=$TARGET

say() { printf '%s\n' "$*"; }
step() { printf '\n==> %s\n' "$*"; }
note() { printf 'note: %s\n' "$*"; }
die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# A scratch folder that is gone when the script ends, however it ends.
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/ngx-token-auth.XXXXXX")
ON_EXIT=() # commands to run at exit, last one first
JOBS=()    # the process groups of what runs beside this script
cleanup() {
    local status=$? i
    for i in ${JOBS[@]+"${JOBS[@]}"}; do kill -- "-$i" 2>/dev/null || true; done
    for ((i = ${#ON_EXIT[@]} - 1; i >= 0; i--)); do ${ON_EXIT[i]} || true; done
    rm -rf "$SCRATCH"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command quietly; its output appears only when it fails.
quietly() {
    local what=$1 log
    shift
    log=$(mktemp "$SCRATCH/log.XXXXXX")
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        printf 'build.sh: %s failed; the end of its output is above\n' "$what" >&2
        return 1
    fi
}

# Runs commands side by side, and dies at the end if one of them has failed: what a processor does alone, as
# the optimiser of a whole program, leaves the others free. What a command sets is lost.
side_by_side() { # "FUNCTION WORD..."...
    local one failed=()
    # Each is a process group, so that nothing that it has started is left behind if this script is stopped.
    set -m
    for one in "$@"; do
        # shellcheck disable=SC2086 # these are words
        $one </dev/null &
        JOBS+=($!)
    done
    set +m
    for one in "$@"; do
        wait "${JOBS[0]}" || failed+=("$one")
        JOBS=("${JOBS[@]:1}")
    done
    ((${#failed[@]} == 0)) || die "failed: ${failed[*]}; see above"
}

# version_at_least HAVE WANT
version_at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# --- packages ---------------------------------------------------------------------------------

on_debian() { have apt-get && have dpkg-query; }
can_be_root() { ((EUID == 0)) || { have sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; }
as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

package_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

APT_UPDATED=0
apt_update() {
    ((APT_UPDATED)) && return
    APT_UPDATED=1
    say "running apt-get update"
    quietly "apt-get update" as_root apt-get update -q ||
        note "going on with the package lists that are there"
}

apt_try() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# Installs Debian packages (NAME or NAME=VERSION). The lists are only updated when they have to
# be: when a first try fails, because they are absent or out of date.
apt_install() {
    say "installing: $*"
    apt_try "$@" >/dev/null 2>&1 </dev/null && return
    apt_update
    quietly "apt-get install $*" apt_try "$@"
}

has_header() { # NAME [MACRO]
    printf '#include <%s>\n' "$1" | cc ${2:+-D"$2"} -E -x c - >/dev/null 2>&1
}

has_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] && return
    # bindgen needs clang's own headers (stddef.h) as well, so the bare library is not enough.
    compgen -G '/usr/lib/llvm*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib/*-linux-gnu/libclang*.so*' >/dev/null || return 1
    have clang || compgen -G '/usr/lib*/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib/llvm*/lib/clang/*/include/stddef.h' >/dev/null
}

# What is missing for a build, as the names of Debian's packages.
missing_packages() {
    if ! have cc; then
        say gcc
        say libc6-dev
    fi
    have make || say make
    has_libclang || say libclang-dev
    # Without a compiler the headers cannot be looked for; apt skips what is there.
    has_header pcre2.h PCRE2_CODE_UNIT_WIDTH=8 || say libpcre2-dev
    has_header zlib.h || say zlib1g-dev
    # nginx itself is only built with --vendored, and only that needs OpenSSL.
    ((!VENDORED)) || has_header openssl/ssl.h || say libssl-dev
}

# The same things by the names other systems give them.
how_to_install_elsewhere() {
    local id=""
    [[ ! -r /etc/os-release ]] || id=$(. /etc/os-release && printf '%s' "${ID:-} ${ID_LIKE:-}")
    case " $id " in
        *" debian "* | *" ubuntu "*)
            say "  sudo apt-get install gcc libc6-dev make libclang-dev libpcre2-dev zlib1g-dev libssl-dev curl ca-certificates"
            ;;
        *" fedora "* | *" rhel "*)
            say "  sudo dnf install gcc make clang-devel pcre2-devel zlib-devel openssl-devel curl"
            ;;
        *" alpine "*)
            say "  apk add build-base linux-headers clang-dev pcre2-dev zlib-dev openssl-dev curl"
            ;;
        *" arch "*)
            say "  sudo pacman -S --needed base-devel clang pcre2 zlib openssl curl"
            ;;
        *)
            say "  a C compiler, make, libclang with its headers, and the headers of PCRE2, zlib and OpenSSL"
            ;;
    esac
}

setup_build_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    if on_debian && can_be_root; then
        apt_install "${missing[@]}" || die "installing ${missing[*]} failed; see above"
    else
        printf 'build.sh: missing here (by the names of Debian packages): %s\nInstall:\n%s\n' \
            "${missing[*]}" "$(how_to_install_elsewhere)" >&2
        exit 1
    fi
}

setup_curl() {
    have curl && { ! on_debian || [[ -s /etc/ssl/certs/ca-certificates.crt ]]; } && return
    if on_debian && can_be_root; then
        apt_install curl ca-certificates || die "installing curl failed; see above"
    else
        have curl || die "curl is missing; install it and run this again"
    fi
}

# --- Rust -------------------------------------------------------------------------------------

setup_rust() {
    local want found
    have cargo || PATH=$PATH:$HOME/.cargo/bin:/usr/local/cargo/bin
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! have cargo; then
        die "Rust is missing ($want or later is needed). Install it with
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
then open a new shell and run this again."
    fi
    found=$(cargo --version | awk '{print $2}') || die "cargo is there but does not run; see above"
    version_at_least "${found%%-*}" "$want" ||
        die "Rust $found is too old, $want or later is needed. With rustup: rustup update stable.
A distribution's own Rust is often older: https://rustup.rs installs a current one beside it."
}

# What is to be parsed, counted or asked over HTTP is in Rust: `cargo xtask help` lists it.
xtask() { cargo xtask "$@"; }

# A program from PyPI, in a folder of its own; fails where it cannot be had.
python_tool() { # FOLDER PROGRAM PACKAGE...
    xtask python "$@" && return
    # Debian leaves venv out of python3.
    on_debian && can_be_root && ! package_installed python3-venv && apt_install python3-venv &&
        xtask python "$@"
}

# Tools that only `test` needs. PyPI carries prebuilt copies of both, which saves ten minutes of
# compiling on a small machine; where there is none for the platform, cargo builds the tool.
# The version is pinned so that a check that passed yesterday passes today.
setup_cargo_tool() { # NAME VERSION, options of cargo install
    local name=$1 version=$2
    shift 2
    PATH=$TOOLS/bin:$TOOLS/$name/bin:$PATH
    # An installed one is used, unless it is much older.
    if have "$name" && "$name" --version >/dev/null 2>&1 &&
        version_at_least "$("$name" --version | awk 'NR == 1 {print $2}')" "${version%.*}"; then
        return
    fi
    python_tool "$TOOLS/$name" "$name" "astral-dev-toolchain-$name==$version" && return
    say "no prebuilt $name for this machine; cargo builds it, which takes some minutes"
    quietly "cargo install $name" env -u CARGO_TARGET_DIR cargo install --locked --root "$TOOLS" --version "$version" "$@" "$name" ||
        die "$name could not be installed; see above"
}

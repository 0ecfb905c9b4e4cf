# shellcheck shell=bash
# fuzz: libFuzzer over every way into the core; long by itself, some seconds in `test`.
#
# The folder fuzz/ is laid out for cargo-fuzz. Here cargo builds it with the instrumentation that
# cargo-fuzz asks for, which stable Rust knows; only AddressSanitizer needs a nightly, and there is
# no unsafe code in the core for it to look at.

FUZZ_TARGETS=(token keys kids rules link authorization revoked table answer signing private jwe status_list
    akamai bunny google cloudfront playlist cdni)
FUZZ_SECONDS=600 # each target's, of `./build.sh fuzz` without a number
FUZZ_FLAGS=(-Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    --cfg fuzzing)

verb_fuzz() { # [SECONDS]
    local seconds=${1:-$FUZZ_SECONDS}
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "fuzz: $seconds is no number of seconds"
    setup_rust
    build_fuzz
    step "fuzzing, $seconds s a target"
    run_fuzz "$seconds" "$ROOT/fuzz/corpus"
}

# The part of `test`: every seed, then some seconds of new inputs from them.
check_fuzz() {
    build_fuzz
    step "fuzzing, for a moment"
    run_fuzz 3 "$SCRATCH/corpus"
}

build_fuzz() {
    have c++ || { on_debian && can_be_root && apt_install g++; } ||
        die "fuzz: a C++ compiler is missing, which libFuzzer is built with"
    FUZZ_HOST=$(rustc -vV | sed -n 's/^host: //p')
    FUZZ_BUILD=$TARGET/fuzz
    step "fuzz targets"
    # With --target the flags stay out of build scripts.
    CARGO_TARGET_DIR=$FUZZ_BUILD RUSTFLAGS="${FUZZ_FLAGS[*]}" \
        cargo build --locked -q --release --manifest-path fuzz/Cargo.toml --target "$FUZZ_HOST"
}

# Prints the executions of each target. The seeds are never written to: inputs that reach new code
# are kept in CORPUS, and one that fails in fuzz/artifacts/.
run_fuzz() { # SECONDS CORPUS
    local target runs rows=() row at_once
    FUZZ_TIME=$1 FUZZ_CORPUS=$2
    mkdir -p "$ROOT/fuzz/artifacts"
    at_once=$(nproc 2>/dev/null || say 1)
    for ((row = 0; row < at_once && row < ${#FUZZ_TARGETS[@]}; row++)); do
        rows+=("fuzz_row $row $at_once")
    done
    side_by_side "${rows[@]}"
    for target in "${FUZZ_TARGETS[@]}"; do
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$SCRATCH/fuzz-$target")
        ((runs > 100)) || die "fuzz: $target ran only ${runs:-0} times"
        printf '  %-14s %10d executions\n' "$target" "$runs"
        SUMMARIES+=("fuzz $target: $runs executions")
    done
}

# Fuzzes each STEPth target, one after the other.
fuzz_row() { # FIRST STEP
    local at target log status
    for ((at = $1; at < ${#FUZZ_TARGETS[@]}; at += $2)); do
        target=${FUZZ_TARGETS[at]} status=0
        log=$SCRATCH/fuzz-$target
        mkdir -p "$FUZZ_CORPUS/$target"
        "$FUZZ_BUILD/$FUZZ_HOST/release/$target" -max_total_time="$FUZZ_TIME" -timeout=10 \
            -rss_limit_mb=1024 -max_len=70000 -print_final_stats=1 \
            -artifact_prefix="$ROOT/fuzz/artifacts/$target-" \
            "$FUZZ_CORPUS/$target" "$ROOT/fuzz/seeds/$target" >"$log" 2>&1 </dev/null || status=$?
        if ((status)); then
            grep -v '^#' "$log" | tail -n 40 >&2
            die "fuzz: $target failed; the end of its output is above, the input in fuzz/artifacts/"
        fi
    done
}

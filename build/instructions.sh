#!/usr/bin/env bash
# Counts the instructions that one judgement of the core takes, and compares them with those in
# token/benches/instructions.txt: more than 5 % above is an error.
#
#   build/instructions.sh [--write]
#
# Wants valgrind (Debian's package of that name). Time differs from machine to machine and run to run;
# the count hardly does. Under valgrind there are no SHA instructions, so the signature costs several
# times what it does outside: its share is counted by itself and taken off what is compared.
# --write notes the figures of now as those to compare with: where they are to be so, or where another
# compiler makes other code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FIGURES=token/benches/instructions.txt
ALLOWED=5 # per cent
FEW=200 MANY=5200

cargo build --release --locked -q -p judge
JUDGE=${CARGO_TARGET_DIR:-target}/release/judge

count() { # WHAT TIMES: instructions of the whole process
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$JUDGE" "$1" "$2" 2>&1 >/dev/null |
        awk '/Collected/ { print $4 }'
}

each() { # WHAT: instructions of one judgement
    local few many
    few=$(count "$1" $FEW) many=$(count "$1" $MANY)
    echo $(((many - few) / (MANY - FEW)))
}

signature=$(each signature)
now=$(
    echo "cold $(($(each cold) - signature))"
    echo "hot $(each hot)"
    echo "link $(each link)"
)
if [[ ${1:-} == --write ]]; then
    {
        echo "# Instructions of one judgement, as build/instructions.sh counts them: a token never seen"
        echo "# before, without its HMAC, one seen before, and a signed link."
        echo "$now"
    } >"$FIGURES"
fi

echo "the HMAC of a token alone, in software: $signature"
status=0
while read -r what is; do
    was=$(awk -v what="$what" '$1 == what { print $2 }' "$FIGURES")
    printf '%-5s %6d instructions, %6d noted\n' "$what" "$is" "$was"
    if ((is * 100 > was * (100 + ALLOWED))); then
        echo "$what: more than $ALLOWED % above $FIGURES" >&2
        status=1
    fi
done <<<"$now"
exit $status

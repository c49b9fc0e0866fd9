#!/usr/bin/env bash
# What a newcomer does on a clean clone, timed: the README's two commands, then a deal of their own,
# its report, and a mistake. Leaves .venv in the clone.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t commands < <(awk '/^```sh$/ {inside=1; next} /^```$/ {inside=0} inside' README.md)
[ "${#commands[@]}" -eq 2 ] || { echo "README: want two commands, found ${#commands[@]}"; exit 1; }
deactivate 2>/dev/null || true
rm -rf .venv
work=$(mktemp -d)
export XDG_CACHE_HOME="$work/cache" # nothing is compiled yet
unset JAX_COMPILATION_CACHE_DIR
last=$SECONDS
table=""
took() { table+="$(printf '%4d s  %s' $((SECONDS - last)) "$1")"$'\n'; last=$SECONDS; }

eval "${commands[0]}"
took "install and quickstart"
eval "${commands[1]}"
took "tests"
( cd "$work" && clo-gen init my-deal )
cd "$work/my-deal"
clo-gen run config.toml --paths 200
took "a deal of their own"
clo-gen report runs/my-deal
[ -s runs/my-deal/report.html ]
took "its report"
sed 's/,first,/,frist,/' tape.csv > wrong.csv
code=0
clo-gen run config.toml --tape wrong.csv --out wrong 2> message || code=$?
cat message
[ "$code" -eq 2 ] && grep -q "wrong.csv" message && grep -q "lien: 'frist'; want one of first" message
if grep -q Traceback message || [ -e wrong ] || [ -e wrong.partial ]; then exit 1; fi
took "a wrong tape is told"
printf '%s%4d s  in all\n' "$table" "$SECONDS"

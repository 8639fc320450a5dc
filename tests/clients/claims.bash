# Sourced by the suites written in bash: each claim becomes one line `ok - …` or `not ok - …`, read by `cargo xtask test`.
# Given by the caller: BOOTSTRAP (host:port), WORK (an empty folder that is removed afterwards).
set -u
: "${BOOTSTRAP:?the bootstrap server to test}" "${WORK:?an empty folder}"

# expect CLAIM EXIT STDOUT COMMAND…: the command ends with EXIT and prints exactly STDOUT; what differs from run to run
# (topic ids, ports, times, what Kafka sets for itself) is masked by `masked`.
expect() {
  local claim=$1 code=$2 want=$3 out got
  shift 3
  out=$(timeout 120 "$@" 2>"$WORK/stderr" </dev/null)
  got=$?
  report "$claim" "$code" "$got" "$want" "$(printf '%s' "$out" | masked)"
}

# expect_input CLAIM EXIT INPUT STDOUT COMMAND…: the same with something on stdin.
expect_input() {
  local claim=$1 code=$2 input=$3 want=$4 out got
  shift 4
  out=$(printf "$input" | timeout 120 "$@" 2>"$WORK/stderr")
  got=$?
  report "$claim" "$code" "$got" "$want" "$(printf '%s' "$out" | masked)"
}

# expect_match CLAIM EXIT PATTERN COMMAND…: some line of stdout matches the extended regular expression.
expect_match() {
  local claim=$1 code=$2 pattern=$3 out got
  shift 3
  out=$(timeout 120 "$@" 2>"$WORK/stderr" </dev/null)
  got=$?
  if printf '%s\n' "$out" | masked | grep -qE -- "$pattern"; then
    report "$claim" "$code" "$got" "" ""
  else
    report "$claim" "$code" "$got" "a line like $pattern" "$out"
  fi
}

report() {
  local claim=$1 code=$2 got=$3 want=$4 out=$5
  if [ "$got" -eq "$code" ] && [ "$out" = "$want" ]; then
    echo "ok - $claim"
    return
  fi
  echo "not ok - $claim"
  echo "# exit code $got, expected $code"
  printf '%s\n' "$want" | sed 's/^/# expected: /'
  printf '%s\n' "$out" | sed 's/^/#      got: /'
  head -n 20 "$WORK/stderr" | sed 's/^/#   stderr: /'
}

masked() {
  sed -E -e 's/TopicId: [A-Za-z0-9_-]{22}/TopicId: ID/' -e "s/${BOOTSTRAP//./\\.}/BOOTSTRAP/g" -e 's/min\.insync\.replicas=1,//' -e 's/[[:space:]]+$//' |
    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

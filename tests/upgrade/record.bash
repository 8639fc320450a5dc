#!/usr/bin/env bash
# Keeps a data directory of this release for the tests of later ones: after a clean end, and after one by SIGKILL.
#   cargo build && tests/upgrade/record.bash target/debug/millstream VERSION
set -euo pipefail
millstream=$(realpath "$1") version=$2 here=$(cd "$(dirname "$0")" && pwd) work=$(mktemp -d)
trap 'kill -9 "${broker:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

start() { # DATA
  "$millstream" broker --listen 127.0.0.1:0 --data-dir "$1" --set offsets.topic.num.partitions=1 > "$work/out" 2> "$work/log" & broker=$!
  until grep -q listening "$work/out"; do kill -0 "$broker"; done
  address=$(sed -n 's/^listening on //p' "$work/out" | head -1)
}
fill() {
  "$millstream" topics --bootstrap-server "$address" --create --topic plain --partitions 2 --config retention.ms=-1 > /dev/null
  "$millstream" topics --bootstrap-server "$address" --create --topic compacted --config cleanup.policy=compact --config segment.ms=60000 > /dev/null
  for codec in none gzip snappy lz4 zstd; do
    printf '%s\n' "$codec 1" "$codec 2" | "$millstream" console-producer --bootstrap-server "$address" --topic plain --compression-codec "$codec" --sync
  done
  printf 'k:%s\n' 1 2 3 | "$millstream" console-producer --bootstrap-server "$address" --topic compacted --sync \
    --reader-property parse.key=true --reader-property key.separator=:
  "$millstream" console-consumer --bootstrap-server "$address" --topic compacted --from-beginning --group readers --max-messages 3 > /dev/null
}
keep() { # NAME: the directory without the zeros behind the lane's slots
  local to=$here/$version-$1
  rm -rf "$to"; cp -r "$work/data" "$to"; rm -f "$to/.lock"
  find "$to/lane" -name '*.slots' | while read -r file; do
    used=$(python3 -c 'import sys; b=open(sys.argv[1],"rb").read().rstrip(b"\0"); print((len(b)+4095)//4096*4096)' "$file")
    if [ "$used" = 0 ]; then rm "$file"; else truncate -s "$used" "$file"; fi
  done
}
for end in clean unclean; do
  rm -rf "$work/data"; start "$work/data"; fill
  if [ $end = clean ]; then kill "$broker"; else kill -9 "$broker"; fi
  wait "$broker" || true
  keep $end
done

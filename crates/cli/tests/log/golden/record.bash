#!/usr/bin/env bash
# Records what the tests of `log dump` compare with: a log that Apache Kafka wrote, and what Kafka's own kafka-dump-log prints of it.
#   record.bash BROKER_LIBS TOOLS_LIBS
set -euo pipefail
broker=$1 tools=$2 here=$(cd "$(dirname "$0")" && pwd) work=$(mktemp -d)
trap 'kill "${kafka:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
port=${PORT:-29292}
cat > "$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:$((port + 1))
listeners=PLAINTEXT://localhost:$port,CONTROLLER://localhost:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$work/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
PROPERTIES
java -cp "$broker/*" kafka.tools.StorageTool format --standalone -t 4L6g3nShT-eMCtK--X86sw -c "$work/server.properties" > "$work/format.txt" 2>&1
java -Xmx512M -cp "$broker/*" kafka.Kafka "$work/server.properties" > "$work/kafka.txt" 2>&1 & kafka=$!
java -cp "$broker/*" "$here/WriteLog.java" "localhost:$port" 2> "$work/write.txt"
kill "$kafka"; wait "$kafka" || true
for topic in dumped stamped; do
  rm -rf "${here:?}/$topic"; mkdir "$here/$topic"
  cp "$work/data/$topic-0"/*.{log,index,timeindex,txnindex,snapshot} "$here/$topic/" 2> /dev/null || true
done
transcript() { # NAME OPTION…: the tool's stdout, as it prints it beside the files
  local name=$1; shift
  (cd "$here" && java -cp "$tools/*" org.apache.kafka.tools.DumpLogSegments "$@" > "$name.txt" 2> "$work/$name.txt")
}
cd "$here"
logs=$(ls dumped/*.log stamped/*.log | paste -sd,) indexes=$(ls dumped/*.{index,timeindex,txnindex,snapshot} | paste -sd,)
transcript batches --files "$logs"
transcript records --files "$logs" --deep-iteration
transcript contents --files "$logs" --print-data-log
transcript bare --files "$logs" --print-data-log --skip-record-metadata
transcript some --files "$logs" --max-bytes 600
transcript indexes --files "$indexes"
transcript sane --files "$(ls dumped/*.{index,timeindex} | paste -sd,)" --index-sanity-check
transcript verified --files "$(ls dumped/*.{index,timeindex} | paste -sd,)" --verify-index-only

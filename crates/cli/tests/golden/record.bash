#!/usr/bin/env bash
# Records transcript.txt: what Apache Kafka's own tools print and end with, command by command, against Apache Kafka.
#   BOOTSTRAP=host:port (an empty cluster of node 1)  KAFKA_LIBS=folder with the jars of tests/clients/kafka/tools.pom.xml
# What differs from run to run is masked as tests/tools.rs masks it. stderr is not recorded: there the tools say the same
# without Java's class names and traces.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${BOOTSTRAP:?}" "${KAFKA_LIBS:?}"

class_of() {
  local tools=org.apache.kafka.tools
  case $1 in
    topics) echo $tools.TopicCommand ;;
    console-producer) echo $tools.ConsoleProducer ;;
    console-consumer) echo $tools.consumer.ConsoleConsumer ;;
    consumer-groups) echo $tools.consumer.group.ConsumerGroupCommand ;;
    configs) echo kafka.admin.ConfigCommand ;;
    get-offsets) echo $tools.GetOffsetShell ;;
  esac
}

masked() {
  sed -E -e 's/TopicId: [A-Za-z0-9_-]{22}/TopicId: ID/' -e "s/${BOOTSTRAP//./\\.}/BOOTSTRAP/g" -e 's/CreateTime:[0-9]{13}/CreateTime:TIME/'
}

grep -v '^#' "$here/commands.txt" | while IFS= read -r line; do
  command=${line%% <*}
  input=
  [ "$command" = "$line" ] || input=$(printf '%s' "${line#* <}")
  eval "words=($command)"
  tool=${words[0]}
  out=$(printf "$input" | timeout 120 java -Xmx256M -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$here/../../../../tests/clients/kafka/log4j2.xml" \
    -cp "$KAFKA_LIBS/*" "$(class_of "$tool")" --bootstrap-server "$BOOTSTRAP" "${words[@]:1}" 2>>"${RECORD_STDERR:-/dev/null}"; echo "exit $?")
  printf '$ %s\n%s\n' "$line" "$(printf '%s' "$out" | masked)"
done

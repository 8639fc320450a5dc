#!/usr/bin/env bash
# Records transcript.txt: what Apache Kafka's own tools print and end with, command by command, against Apache Kafka.
#   BOOTSTRAP=host:port (an empty cluster of node 1)  KAFKA_LIBS=folder with the jars of tests/clients/kafka/tools.pom.xml
# A line of stderr begins with `! `. What differs from run to run is masked as tests/tools masks it; of stderr is left
# what the tool says: no times, no levels' classes, no exceptions' classes and traces, no logs of the client below.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${BOOTSTRAP:?}" "${KAFKA_LIBS:?}"
cd "$here" || exit 1
stderr=$(mktemp)
behind=
trap 'rm -f "$stderr"; [ -z "$behind" ] || kill "$behind"' EXIT

class_of() {
  local tools=org.apache.kafka.tools
  case $1 in
    topics) echo $tools.TopicCommand ;;
    console-producer) echo $tools.ConsoleProducer ;;
    console-consumer) echo $tools.consumer.ConsoleConsumer ;;
    consumer-groups) echo $tools.consumer.group.ConsumerGroupCommand ;;
    configs) echo kafka.admin.ConfigCommand ;;
    get-offsets) echo $tools.GetOffsetShell ;;
    broker-api-versions) echo $tools.BrokerApiVersionsCommand ;;
  esac
}

# run TOOL OPTION…: the tool with BOOTSTRAP in front, unless the line names another server or none (`-`).
run() {
  local tool=$1 at=(--bootstrap-server "$BOOTSTRAP")
  shift
  case ${1-} in
    -) at=() && shift ;;
    --bootstrap-server) at=() ;;
  esac
  exec timeout 120 java -Xmx256M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
    -Dlog4j2.configurationFile="$here/../../../../tests/clients/kafka/log4j2.xml" \
    -cp "$KAFKA_LIBS/*" "$(class_of "$tool")" ${at[@]+"${at[@]}"} "$@"
}

masked() {
  sed -E -e 's/TopicId: [A-Za-z0-9_-]{22}/TopicId: ID/' -e "s/${BOOTSTRAP//./\\.}/BOOTSTRAP/g" -e 's/CreateTime:[0-9]{13}/CreateTime:TIME/' \
    -e 's/-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/-UUID/g'
}

# Of a log line that ends in a colon the exception behind it tells the rest.
said() {
  awk '
    /^[[:space:]]+at |^[[:space:]]*\.\.\. [0-9]+ more|^Caused by: / { next }
    /\(org\.apache\.kafka\.clients\.[^ ]*\)$/ && !/ErrorLoggingCallback\)$/ { next }
    /^The consumer rebalance protocol \(KIP-848\)/ { next }
    # A plan of several groups is first read as one of a single group; the trace of that attempt says nothing.
    /^com\.fasterxml\.jackson\./ { next }
    { is_exception = /^([a-z]+\.)+[A-Z][A-Za-z$]*Exception/ }
    { sub(/^\[[0-9-]+ [0-9:,]+\] /, ""); sub(/ ?\((org\.apache\.)?kafka\.[^ ]*\)$/, ""); }
    { sub(/^Exception in thread "main" /, ""); gsub(/([a-z]+\.)+[A-Z][A-Za-z$]*Exception(: )?/, ""); sub(/[[:space:]]+$/, "") }
    /^Option  +Description/ { if (last != "") print last; last = "(the table of options)"; exit }
    is_exception && last ~ /:$/ { last = last ($0 == "" ? "" : " " $0); next }
    last != "" && $0 != "" && substr(last, length(last) - length($0) + 1) == $0 { next }
    $0 != "" { if (last != "") print last; last = $0 }
    END { if (last != "") print last }
  ' "$1" | sed 's/^/! /'
}

# until_stable GROUP: when all its members have their partitions.
until_stable() {
  until (run consumer-groups --describe --group "$1" --state) 2>/dev/null | grep -q ' Stable '; do :; done
}

while IFS= read -r line; do
  case $line in
    '#'* | '') continue ;;
    # A consumer that goes on while the next commands run, until `end`.
    'begin '*)
      eval "words=(${line#begin })"
      (run "${words[@]}") >/dev/null 2>&1 &
      behind=$!
      until_stable "${line##* }"
      echo "$ $line"
      ;;
    end)
      kill "$behind" && wait "$behind"
      behind=
      echo "$ $line"
      ;;
    *)
      command=${line%% <*}
      input=
      [ "$command" = "$line" ] || input=${line#* <}
      eval "words=($command)"
      out=$(printf "$input" | (run "${words[@]}") 2>"$stderr"; echo "exit $?")
      printf '$ %s\n' "$line"
      [ "${out%exit *}" = "" ] || printf '%s' "${out%exit *}" | masked
      said "$stderr" | masked
      echo "exit ${out##*exit }"
      ;;
  esac
done <"$here/commands.txt"

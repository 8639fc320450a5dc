#!/usr/bin/env bash
# Apache Kafka's tools and kcat over a cluster of NODES nodes, numbered from 1: who leads and coordinates is found and
# followed. KAFKA_LIBS is the folder with the tools' jars.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../claims.bash"
: "${KAFKA_LIBS:?the folder with the jars of Kafka\'s tools}"
[ "${NODES:?the number of nodes}" -eq 3 ] || { echo "not ok - these claims are for 3 nodes, not $NODES"; exit 1; }

tool() {
  command timeout 120 java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dlog4j2.configurationFile="$here/log4j2.xml" -cp "$KAFKA_LIBS/*" "org.apache.kafka.tools.$@"
}
timeout() { if [ "$2" = tool ]; then shift; "$@"; else command timeout "$@"; fi; }

at=(--bootstrap-server "$BOOTSTRAP")
topic=nodes-one

expect "kafka-topics creates a topic with a replica on each node" 0 "Created topic $topic." \
  tool TopicCommand "${at[@]}" --create --topic $topic --partitions 6 --replication-factor 3
expect_match "kafka-topics refuses more replicas than nodes" 1 \
  "^Error while executing topic command : Unable to replicate the partition 4 time\(s\): The target replication factor of 4 cannot be reached because only 3 broker\(s\) are registered" \
  tool TopicCommand "${at[@]}" --create --topic nodes-bad --replication-factor 4

tool TopicCommand "${at[@]}" --describe --topic $topic >"$WORK/describe" 2>"$WORK/stderr"
for node in 1 2 3; do
  expect "kafka-topics shows that node $node leads its share" 0 2 grep -cE "	Leader: $node	Replicas: $node," "$WORK/describe"
done
expect "kafka-topics shows every replica in sync" 0 6 \
  grep -cE "	Replicas: ([0-9],[0-9],[0-9])	Isr: \1	" "$WORK/describe"

seq 600 | sed 's/.*/key&:value&/' >"$WORK/records"
expect "kcat produces to the leaders of all partitions" 0 "" \
  kcat -b "$BOOTSTRAP" -q -P -t $topic -K : -l "$WORK/records"
kcat -b "$BOOTSTRAP" -q -C -t $topic -o beginning -e -f '%p\n' 2>"$WORK/stderr" | sort | uniq -c >"$WORK/shares"
expect "kcat consumes from all of them" 0 "6 600" awk '{ sum += $1 } END { print NR, sum }' "$WORK/shares"
expect "kafka-get-offsets asks every leader" 0 600 \
  awk -F: '{ sum += $3 } END { print sum }' <(tool GetOffsetShell "${at[@]}" --topic $topic 2>"$WORK/stderr")
expect_match "kcat sees each node lead" 0 "partition [0-9], leader 3, replicas: 3,1,2, isrs: 3,1,2" \
  kcat -b "$BOOTSTRAP" -L -t $topic

# Groups whose names fall to different nodes; each is read and described through the first node.
for group in nodes-a nodes-b nodes-c nodes-d nodes-e nodes-f; do
  expect "a consumer of group $group finds its coordinator" 0 600 \
    awk 'END { print NR }' <(kcat -b "$BOOTSTRAP" -q -G $group -X auto.offset.reset=earliest -e $topic 2>"$WORK/stderr")
done
expect "kafka-consumer-groups lists the groups of every node" 0 "nodes-a
nodes-b
nodes-c
nodes-d
nodes-e
nodes-f" sort <(tool consumer.group.ConsumerGroupCommand "${at[@]}" --list 2>"$WORK/stderr")
tool consumer.group.ConsumerGroupCommand "${at[@]}" --describe --all-groups --state >"$WORK/states" 2>"$WORK/stderr"
expect "groups are coordinated by several nodes" 0 yes \
  awk '/^nodes-/ { seen[$3] = 1 } END { print (length(seen) > 1 ? "yes" : "no") }' "$WORK/states"
expect_match "kafka-consumer-groups asks the coordinator of a group" 0 "^nodes-b +$topic +0 +[0-9]+ +[0-9]+ +0 " \
  tool consumer.group.ConsumerGroupCommand "${at[@]}" --describe --group nodes-b
expect_match "kafka-broker-api-versions asks every node" 0 "\(id: 3 rack: null isFenced: false\) -> \($" \
  tool BrokerApiVersionsCommand "${at[@]}"
expect "kafka-topics deletes" 0 "" tool TopicCommand "${at[@]}" --delete --topic $topic

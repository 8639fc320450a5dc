#!/usr/bin/env bash
# Apache Kafka's own command-line tools. KAFKA_LIBS is the folder with their jars.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../claims.bash"
: "${KAFKA_LIBS:?the folder with the jars of Kafka\'s tools}"

# kafka NAME ARGUMENTS…: the tool that Kafka's script kafka-NAME.sh starts.
kafka() {
  local tools=org.apache.kafka.tools class
  case $1 in
    topics) class=$tools.TopicCommand ;;
    console-producer) class=$tools.ConsoleProducer ;;
    console-consumer) class=$tools.consumer.ConsoleConsumer ;;
    producer-perf-test) class=$tools.ProducerPerformance ;;
    consumer-perf-test) class=$tools.ConsumerPerformance ;;
    consumer-groups) class=$tools.consumer.group.ConsumerGroupCommand ;;
    configs) class=kafka.admin.ConfigCommand ;;
    get-offsets) class=$tools.GetOffsetShell ;;
    broker-api-versions) class=$tools.BrokerApiVersionsCommand ;;
    delete-records) class=$tools.DeleteRecordsCommand ;;
    log-dirs) class=$tools.LogDirsCommand ;;
    verifiable-producer) class=$tools.VerifiableProducer ;;
    verifiable-consumer) class=$tools.VerifiableConsumer ;;
    *) echo "no tool $1" >&2; return 2 ;;
  esac
  shift
  timeout 120 java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dlog4j2.configurationFile="$here/log4j2.xml" -cp "$KAFKA_LIBS/*" "$class" "$@"
}
# `timeout` runs programs only; the function bounds itself.
timeout() { if [ "$2" = kafka ]; then shift; "$@"; else command timeout "$@"; fi; }

at=(--bootstrap-server "$BOOTSTRAP")
t1=tools-one tk=tools-keyed

expect "kafka-topics creates a topic" 0 "Created topic $t1." kafka topics "${at[@]}" --create --topic $t1 --partitions 3 --replication-factor 1
expect "kafka-topics refuses a topic that exists" 1 "Error while executing topic command : Topic '$t1' already exists." \
  kafka topics "${at[@]}" --create --topic $t1
expect "kafka-topics --if-not-exists is content with it" 0 "" kafka topics "${at[@]}" --create --topic $t1 --if-not-exists
expect "kafka-topics creates a topic with configs" 0 "Created topic $tk." \
  kafka topics "${at[@]}" --create --topic $tk --config retention.ms=86400000 --config cleanup.policy=compact
expect "kafka-topics refuses an unknown config" 1 "Error while executing topic command : Unknown topic config name: no.such" \
  kafka topics "${at[@]}" --create --topic bad --config no.such=1
expect_match "kafka-topics refuses more replicas than brokers" 1 "^Error while executing topic command : Unable to replicate the partition 3 time" \
  kafka topics "${at[@]}" --create --topic bad --replication-factor 3
expect "kafka-topics lists" 0 "$tk
$t1" kafka topics "${at[@]}" --list --topic 'tools-.*'
expect "kafka-topics describes partitions" 0 "\
Topic: $t1	TopicId: ID	PartitionCount: 3	ReplicationFactor: 1	Configs: segment.bytes=1073741824
	Topic: $t1	Partition: 0	Leader: 1	Replicas: 1	Isr: 1	Elr: 	LastKnownElr:
	Topic: $t1	Partition: 1	Leader: 1	Replicas: 1	Isr: 1	Elr: 	LastKnownElr:
	Topic: $t1	Partition: 2	Leader: 1	Replicas: 1	Isr: 1	Elr: 	LastKnownElr:" kafka topics "${at[@]}" --describe --topic $t1
expect "kafka-topics adds partitions" 0 "" kafka topics "${at[@]}" --alter --topic $t1 --partitions 5
expect "kafka-topics refuses fewer partitions" 1 \
  "Error while executing topic command : The topic $t1 currently has 5 partition(s); 2 would not be an increase." \
  kafka topics "${at[@]}" --alter --topic $t1 --partitions 2
expect "kafka-topics misses an unknown topic" 1 "Error while executing topic command : Topic 'nope' does not exist as expected" \
  kafka topics "${at[@]}" --describe --topic nope

expect_input "kafka-console-producer sends lines" 0 'a\nb\nc\n' "" kafka console-producer "${at[@]}" --topic $t1
expect_input "kafka-console-producer sends keys and headers" 0 'h1:a,h2:b\tk1\tv1\nh1:c\tk2\tv2\n' "" \
  kafka console-producer "${at[@]}" --topic $tk --reader-property parse.key=true --reader-property parse.headers=true
for codec in gzip snappy lz4 zstd; do
  expect_input "kafka-console-producer sends $codec" 0 "key\t$codec\n" "" kafka console-producer "${at[@]}" --topic $tk \
    --compression-codec $codec --reader-property parse.key=true
done
expect "kafka-console-consumer reads keys, headers, partitions and offsets" 0 "\
Partition:0	Offset:0	h1:a,h2:b	k1	v1
Partition:0	Offset:1	h1:c	k2	v2
Partition:0	Offset:2	NO_HEADERS	key	gzip
Partition:0	Offset:3	NO_HEADERS	key	snappy
Partition:0	Offset:4	NO_HEADERS	key	lz4
Partition:0	Offset:5	NO_HEADERS	key	zstd" kafka console-consumer "${at[@]}" --topic $tk --from-beginning --max-messages 6 \
  --formatter-property print.key=true --formatter-property print.headers=true --formatter-property print.partition=true --formatter-property print.offset=true
expect_match "kafka-console-consumer prints timestamps" 0 "^CreateTime:[0-9]{13}	v1$" kafka console-consumer "${at[@]}" --topic $tk \
  --from-beginning --max-messages 1 --formatter-property print.timestamp=true
expect "kafka-console-consumer reads one partition from an offset" 0 "v2" \
  kafka console-consumer "${at[@]}" --topic $tk --partition 0 --offset 1 --max-messages 1
expect "kafka-console-consumer joins a group and commits" 0 "v1
v2
gzip" kafka console-consumer "${at[@]}" --topic $tk --group tools-group --from-beginning --max-messages 3
expect "kafka-console-consumer goes on where its group was" 0 "snappy
lz4
zstd" kafka console-consumer "${at[@]}" --topic $tk --group tools-group --max-messages 3

expect "kafka-get-offsets prints the ends" 0 "$tk:0:6" kafka get-offsets "${at[@]}" --topic $tk
expect "kafka-get-offsets prints the beginnings" 0 "$t1:0:0
$t1:1:0
$t1:2:0
$t1:3:0
$t1:4:0" kafka get-offsets "${at[@]}" --topic $t1 --time earliest
expect "kafka-get-offsets finds the newest timestamp" 0 "$tk:0:5" kafka get-offsets "${at[@]}" --topic $tk --time -3

expect_match "kafka-consumer-groups lists" 0 "^tools-group$" kafka consumer-groups "${at[@]}" --list
expect_match "kafka-consumer-groups describes offsets and lag" 0 "^tools-group +$tk +0 +6 +6 +0 +- +- +-$" \
  kafka consumer-groups "${at[@]}" --describe --group tools-group
expect_match "kafka-consumer-groups lists states" 0 "^tools-group +Empty *$" kafka consumer-groups "${at[@]}" --list --state
expect_match "kafka-consumer-groups lists types" 0 "^tools-group +Classic *$" kafka consumer-groups "${at[@]}" --list --type
expect_match "kafka-consumer-groups misses an unknown group" 0 \
  "^Error: Executing consumer group command failed due to .*GroupIdNotFoundException: Group tools-nope not found\.$" \
  kafka consumer-groups "${at[@]}" --describe --group tools-nope
expect_match "kafka-consumer-groups describes the state" 0 "^tools-group +BOOTSTRAP  \(1\) +- +Empty +0$" \
  kafka consumer-groups "${at[@]}" --describe --group tools-group --state
expect "kafka-topics describes configs in the order of Kafka's own answer" 0 "cleanup.policy=compact,segment.bytes=1073741824,retention.ms=86400000" \
  sed -n 's/.*Configs: //p' <(kafka topics "${at[@]}" --describe --topic $tk 2>"$WORK/stderr")
expect "kafka-consumer-groups shows what a reset would do, and does not do it" 0 "$tk,0,0" \
  kafka consumer-groups "${at[@]}" --group tools-group --topic $tk --reset-offsets --to-earliest --dry-run --export
expect_match "kafka-consumer-groups shifts offsets" 0 "^tools-group +$tk +0 +3$" \
  kafka consumer-groups "${at[@]}" --group tools-group --topic $tk --reset-offsets --shift-by -3 --execute
expect_match "kafka-consumer-groups resets to a time" 0 "^tools-group +$tk +0 +0$" \
  kafka consumer-groups "${at[@]}" --group tools-group --topic $tk --reset-offsets --to-datetime 2020-01-01T00:00:00.000 --execute
expect_match "kafka-consumer-groups resets to the end" 0 "^tools-group +$tk +0 +6$" \
  kafka consumer-groups "${at[@]}" --group tools-group --all-topics --reset-offsets --to-latest --execute
expect_match "kafka-consumer-groups deletes offsets" 0 "^$tk +0 +Successful" \
  kafka consumer-groups "${at[@]}" --group tools-group --topic $tk --delete-offsets
expect_match "kafka-consumer-groups resets offsets" 0 "^tools-group +$tk +0 +2$" \
  kafka consumer-groups "${at[@]}" --group tools-group --topic $tk --reset-offsets --to-offset 2 --execute
expect "a consumer begins at the reset offset" 0 "gzip" \
  kafka console-consumer "${at[@]}" --topic $tk --group tools-group --max-messages 1
expect "kafka-consumer-groups deletes a group" 0 "Deletion of requested consumer groups ('tools-group') was successful." \
  kafka consumer-groups "${at[@]}" --delete --group tools-group

expect "kafka-configs describes what was set" 0 "\
Dynamic configs for topic $tk are:
  cleanup.policy=compact sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=delete}
  retention.ms=86400000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=86400000}" \
  kafka configs "${at[@]}" --describe --entity-type topics --entity-name $tk
expect "kafka-configs sets" 0 "Completed updating config for topic $t1." \
  kafka configs "${at[@]}" --alter --entity-type topics --entity-name $t1 --add-config retention.ms=5000000,max.message.bytes=2000000
expect "kafka-configs takes back" 0 "Completed updating config for topic $t1." \
  kafka configs "${at[@]}" --alter --entity-type topics --entity-name $t1 --delete-config retention.ms
expect "kafka-configs refuses an unknown config" 1 "" \
  kafka configs "${at[@]}" --alter --entity-type topics --entity-name $t1 --add-config no.such=1

expect "kafka-configs misses an unknown topic" 0 "The topic 'nope' doesn't exist and doesn't have dynamic config." \
  kafka configs "${at[@]}" --describe --entity-type topics --entity-name nope
expect "kafka-configs sets a broker's config" 0 "Completed updating config for broker 1." \
  kafka configs "${at[@]}" --alter --entity-type brokers --entity-name 1 --add-config message.max.bytes=2000000
expect_match "kafka-configs describes a broker's config" 0 "^  message.max.bytes=2000000 sensitive=false synonyms=\{DYNAMIC_BROKER_CONFIG:message.max.bytes=2000000, " \
  kafka configs "${at[@]}" --describe --entity-type brokers --entity-name 1
expect "kafka-configs takes a broker's config back" 0 "Completed updating config for broker 1." \
  kafka configs "${at[@]}" --alter --entity-type brokers --entity-name 1 --delete-config message.max.bytes

expect_match "kafka-broker-api-versions sees Produce" 0 "^	Produce\(0\): 0 to [0-9]+ \[usable: [0-9]+\],$" kafka broker-api-versions "${at[@]}"
expect_match "kafka-producer-perf-test sends" 0 "^2000 records sent, " kafka producer-perf-test --topic $t1 --num-records 2000 \
  --record-size 1000 --throughput -1 --producer-props bootstrap.servers="$BOOTSTRAP" acks=all
expect_match "kafka-consumer-perf-test reads" 0 ", 2003, " kafka consumer-perf-test "${at[@]}" --topic $t1 --num-records 2003 --timeout 30000
expect_match "kafka-verifiable-producer sends" 0 '"sent":50,' kafka verifiable-producer "${at[@]}" --topic tools-verified --max-messages 50
expect_match "kafka-verifiable-consumer reads" 0 '"name":"shutdown_complete"' \
  kafka verifiable-consumer "${at[@]}" --topic tools-verified --group-id tools-verified --reset-policy earliest --max-messages 50
printf '{"partitions":[{"topic":"%s","partition":0,"offset":1}],"version":1}' tools-verified >"$WORK/delete.json"
expect_match "kafka-delete-records moves the log start" 0 "^partition: tools-verified-0	low_watermark: 1$" \
  kafka delete-records "${at[@]}" --offset-json-file "$WORK/delete.json"
expect_match "kafka-log-dirs sees the sizes" 0 "\"partition\":\"$tk-0\"" kafka log-dirs "${at[@]}" --describe --topic-list $tk
expect "kafka-topics deletes" 0 "" kafka topics "${at[@]}" --delete --topic "$t1|$tk|tools-verified"

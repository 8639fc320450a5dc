#!/usr/bin/env bash
# kcat, which is librdkafka: the client under most languages that are not Java.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/claims.bash"

at=(-b "$BOOTSTRAP" -q)
topic=kcat-one

expect_match "kcat lists the cluster" 0 "^ ${NODES:-1} brokers:$" kcat -b "$BOOTSTRAP" -L
expect_input "kcat produces to a topic that is created on demand" 0 'one\ntwo\nthree\n' "" kcat "${at[@]}" -P -t $topic
expect "kcat consumes from the beginning to the end" 0 "0 one
1 two
2 three" kcat "${at[@]}" -C -t $topic -o beginning -e -f '%o %s\n'
expect_input "kcat produces keys and headers" 0 'k1:v1\nk2:v2\n' "" kcat "${at[@]}" -P -t $topic -K : -H a=1 -H a=2
expect "kcat consumes keys and headers, doubled ones too" 0 "k1 v1 a=1,a=2
k2 v2 a=1,a=2" kcat "${at[@]}" -C -t $topic -o 3 -e -f '%k %s %h\n'
for codec in gzip snappy lz4 zstd; do
  expect_input "kcat produces $codec" 0 "$codec\n" "" kcat "${at[@]}" -P -t kcat-$codec -z $codec
  expect "kcat consumes $codec" 0 "$codec" kcat "${at[@]}" -C -t kcat-$codec -o beginning -e
done
expect_input "kcat produces idempotently" 0 'x\ny\n' "" kcat "${at[@]}" -P -t kcat-idempotent -X enable.idempotence=true
expect "each idempotent record is there once" 0 "x
y" kcat "${at[@]}" -C -t kcat-idempotent -o beginning -e
expect "kcat consumes the last records" 0 "v2" kcat "${at[@]}" -C -t $topic -o -1 -e
expect "kcat consumes in a group" 0 "one
two
three
v1
v2" kcat "${at[@]}" -G kcat-group -X auto.offset.reset=earliest -e $topic
expect "the group goes on behind what it has read" 0 "" kcat "${at[@]}" -G kcat-group -X auto.offset.reset=earliest -e $topic
expect "kcat finds the first offset at a time" 0 "$topic [0] offset 0" kcat -b "$BOOTSTRAP" -Q -t $topic:0:1000
expect "kcat is told of an unknown partition" 1 "" kcat "${at[@]}" -C -t $topic -p 7 -o beginning -e

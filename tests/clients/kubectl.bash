#!/usr/bin/env bash
# The machine's own kubectl, unmodified, through the kubeconfig that `millstream up` writes. MILLSTREAM is the binary.
here=$(cd "$(dirname "$0")" && pwd)
BOOTSTRAP=there-is-no-broker
. "$here/claims.bash"
: "${MILLSTREAM:?the binary to test}"

export HOME=$WORK XDG_RUNTIME_DIR=$WORK/run XDG_DATA_HOME=$WORK/data KUBECONFIG=$WORK/data/millstream/kubeconfig
mkdir -p "$XDG_RUNTIME_DIR"

# Debian's kubectl of 2020 reads only the second version of OpenAPI for what diff and explain ask.
minor=$(kubectl version --client -o json | sed -nE 's/.*"minor": "([0-9]+).*/\1/p')
newer() {
  [ "${minor:-0}" -ge 27 ] || { echo "skip - $1: this kubectl is 1.$minor, older than 1.27"; return 1; }
}

cat >"$WORK/map.yaml" <<'MANIFEST'
apiVersion: v1
kind: ConfigMap
metadata: {name: map}
data: {a: "1"}
MANIFEST
cat >"$WORK/web.yaml" <<'MANIFEST'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: web, image: shell, command: [/bin/sh, -c, 'echo hello from $GREETER; exec sleep 1000'], env: [{name: GREETER, value: one}]}
MANIFEST
cat >"$WORK/topic.yaml" <<'MANIFEST'
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaTopic
metadata: {name: orders, labels: {strimzi.io/cluster: none}}
spec: {partitions: 3, replicas: 1, config: {retention.ms: 7200000}}
MANIFEST

"$MILLSTREAM" up -f "$WORK/map.yaml" --routes 127.0.0.1:0 --detach >"$WORK/up" 2>&1 || { cat "$WORK/up"; exit 1; }
pid=$(sed -nE 's/^running in the background: pid ([0-9]+),.*/\1/p' "$WORK/up")
# It writes below WORK, which the caller removes: so its end is waited for.
trap 'kill "$pid" && timeout 60 tail --pid="$pid" -f /dev/null' EXIT

expect_match "kubectl finds a server of its own version" 0 '^Server Version:.*v1\.' kubectl version
expect "kubectl takes what up applied for its own" 0 "configmap/map unchanged" kubectl apply -f "$WORK/map.yaml"
expect "kubectl applies" 0 "deployment.apps/web created
kafkatopic.kafka.strimzi.io/orders created" kubectl apply -f "$WORK/web.yaml" -f "$WORK/topic.yaml"
expect "kubectl waits for a condition" 0 "deployment.apps/web condition met" kubectl wait --for=condition=Available --timeout=60s deployment/web
expect "kubectl follows a rollout" 0 'deployment "web" successfully rolled out' kubectl rollout status deployment/web --timeout=60s
expect_match "kubectl gets a table" 0 '^web +1/1 +1 +1 ' kubectl get deployments
expect_match "kubectl gets Strimzi's columns" 0 '^orders +none +3 +1' kubectl get kafkatopic
expect "kubectl gets by JSONPath" 0 "3" kubectl get kt orders -o 'jsonpath={.spec.partitions}'
expect "kubectl gets names" 0 "configmap/map" kubectl get cm -o name
expect "kubectl prints logs" 0 "hello from one" kubectl logs deployment/web
expect "kubectl prints logs by labels" 0 "hello from one" kubectl logs -l app=web
expect_match "kubectl describes a pod with its events" 0 'Normal +Started .* Started container web' kubectl describe pods -l app=web
expect "kubectl scales" 0 "deployment.apps/web scaled" kubectl scale deployment/web --replicas=2
kubectl rollout status deployment/web --timeout=60s >/dev/null
expect "both pods run" 0 "Running Running" kubectl get pods -l app=web -o 'jsonpath={.items[*].status.phase}'
sed -i 's/value: one/value: two/' "$WORK/web.yaml"
newer "kubectl shows the difference" && expect_match "kubectl shows the difference" 1 '^\+ +value: two$' kubectl diff -f "$WORK/web.yaml"
expect "kubectl applies a change" 0 "deployment.apps/web configured" kubectl apply -f "$WORK/web.yaml"
kubectl rollout status deployment/web --timeout=60s >/dev/null
expect_match "the change has rolled" 0 '^hello from two$' kubectl logs -l app=web
expect_match "kubectl shows the history" 0 '^2 ' kubectl rollout history deployment/web
expect "kubectl goes back" 0 "deployment.apps/web rolled back" kubectl rollout undo deployment/web
kubectl rollout status deployment/web --timeout=60s >/dev/null
expect_match "it has gone back" 0 '^hello from one$' kubectl logs -l app=web
expect "kubectl patches" 0 "kafkatopic.kafka.strimzi.io/orders patched" kubectl patch kt orders --type merge -p '{"spec":{"partitions":6}}'
expect "kubectl labels" 0 "configmap/map labeled" kubectl label cm map team=blue
expect "kubectl selects by labels" 0 "configmap/map" kubectl get cm -l team=blue -o name
expect_match "kubectl watches" 0 '^map +1 ' kubectl get cm -w --request-timeout=2s
newer "kubectl explains a field of Strimzi's" && expect_match "kubectl explains a field of Strimzi's" 0 '^FIELD: partitions <integer>$' kubectl explain kafkatopic.spec.partitions
expect_match "kubectl sees events" 0 ' ScalingReplicaSet +deployment/web ' kubectl get events
expect "kubectl is refused what is not valid" 1 "" kubectl patch kt orders --type merge -p '{"spec":{"partitions":0}}'
expect "kubectl is told that something is not there" 1 "" kubectl get deployment nope
expect "kubectl deletes and waits" 0 'deployment.apps "web" deleted' kubectl delete -f "$WORK/web.yaml" --timeout=60s
expect "nothing of it is left" 0 "" kubectl get deployments,replicasets,pods -l app=web -o name

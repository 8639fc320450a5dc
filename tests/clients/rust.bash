#!/usr/bin/env bash
# The project's own client and services against the cluster: those of their tests that need a broker, as claims.
set -o pipefail
export MILLSTREAM_TEST_BOOTSTRAP=$BOOTSTRAP
claims='s/^test (.*) \.\.\. ok$/ok - \1/; s/^test (.*) \.\.\. FAILED$/not ok - \1/'
status=0
cargo test --quiet --package millstream-client --test broker -- --format=pretty | sed -E "$claims" || status=1
cargo test --quiet --package millstream-client --lib broken_connections -- --format=pretty | sed -E "$claims" || status=1
cargo test --quiet --package millstream-services --test services event:: -- --format=pretty | sed -E "$claims" || status=1
exit $status

//! How Apache Kafka is started: as its own script does it, and tuned as its community advises. The page prints both.

use super::contestant::Who;

/// What Kafka's own start script gives the JVM.
const DEFAULT_JVM: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// What Kafka's documentation calls typical: <https://kafka.apache.org/40/operations/java-version>.
const TUNED_JVM: [&str; 12] = [
    "-Xmx6g",
    "-Xms6g",
    "-server",
    "-XX:MetaspaceSize=96m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:G1HeapRegionSize=16M",
    "-XX:MinMetaspaceFreeRatio=50",
    "-XX:MaxMetaspaceFreeRatio=80",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// A window that the kernel does not grow by itself, since Kafka sets it: a megabyte, as guides for throughput have it.
const SOCKET_BUFFERS: [&str; 2] = ["socket.send.buffer.bytes=1048576", "socket.receive.buffer.bytes=1048576"];

pub(super) fn jvm(who: Who) -> &'static [&'static str] {
    if who == Who::Tuned { &TUNED_JVM } else { &DEFAULT_JVM }
}

/// Lines of the tuned broker's server.properties: a network thread per core, and two threads per core that may wait for
/// the disk, where the defaults are 3 and 8 on any machine.
pub(super) fn properties() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lines = vec![
        format!("num.network.threads={cores}"),
        format!("num.io.threads={}", 2 * cores),
        format!("num.recovery.threads.per.data.dir={cores}"),
    ];
    lines.extend(SOCKET_BUFFERS.map(str::to_owned));
    lines
}

/// For the page.
pub(super) fn words() -> String {
    format!(
        "- Kafka, tuned, has besides: `{}`, as many threads as the cores carry and the buffers that guides for throughput \
         advise (https://kafka-options-explorer.conduktor.io/kafka-broker/maximize-throughput, https://devcraftly.com/kafka/broker-and-os-tuning), \
         and of the JVM what Kafka's documentation gives as typical (https://kafka.apache.org/40/operations/java-version): `{}`.\n",
        properties().join(" "),
        jvm(Who::Tuned).join(" ")
    )
}

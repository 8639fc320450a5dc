//! The broker that the tests talk to.

use std::sync::atomic::{AtomicU32, Ordering};

use millstream_client::admin::NewTopic;
use millstream_client::{Admin, ClientConfig};

/// The configuration of a client of the broker under test; `None`, said loudly, when there is no broker.
pub(crate) fn config() -> Option<ClientConfig> {
    let Ok(servers) = std::env::var("MILLSTREAM_TEST_BOOTSTRAP") else {
        eprintln!("SKIPPED: set MILLSTREAM_TEST_BOOTSTRAP to the address of a broker");
        return None;
    };
    Some(ClientConfig::new(servers).with("default.api.timeout.ms", "20000").with("max.block.ms", "20000"))
}

/// Waits until `ready` gives something: what one broker changed, another learns a little later.
pub(crate) async fn eventually<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = ready().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// A name that no other test and no earlier run uses.
pub(crate) fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run = std::process::id();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().metadata().and_then(|data| data.modified()).ok();
    let age = folder.and_then(|time| time.elapsed().ok()).map_or(0, |age| age.subsec_nanos());
    format!("{stem}-{run}-{count}-{age}")
}

/// Makes a topic and waits until its partitions have leaders.
pub(crate) async fn create_topic(config: &ClientConfig, stem: &str, partitions: i32) -> String {
    let admin = Admin::new(config).unwrap();
    let name = unique(stem);
    let topic = NewTopic { name: name.clone(), num_partitions: Some(partitions), ..NewTopic::default() };
    admin.create_topics(&[topic], false).await.unwrap().pop().unwrap().1.unwrap();
    eventually("the new topic has leaders", async || {
        let described = admin.describe_topics(&[&name]).await.unwrap().pop().unwrap().1.ok()?;
        described.partitions.iter().all(|partition| partition.metadata.leader >= 0).then_some(())
    })
    .await;
    name
}

//! An address that stays while brokers behind it come and go, each on a port that the system chose.
//!
//! Were a broker started again on its old port, the clients' attempts to connect meanwhile could take that port.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The gate; it closes when it is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    behind: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Gate {
    /// A gate with nothing behind: whoever connects is turned away.
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (behind, target) = watch::channel(None);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *target.borrow();
                if let Some(target) = target {
                    tokio::spawn(carry(client, target));
                }
            }
        });
        Self { address, behind, task }
    }

    /// Sends whoever comes from now on to `broker`.
    pub(crate) fn lead_to(&self, broker: Option<SocketAddr>) {
        self.behind.send_replace(broker);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until one side ends; then both know.
async fn carry(mut client: TcpStream, target: SocketAddr) -> io::Result<()> {
    let mut broker = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = broker.split();
    tokio::select! {
        done = tokio::io::copy(&mut from_client, &mut to_broker) => done?,
        done = tokio::io::copy(&mut from_broker, &mut to_client) => done?,
    };
    Ok(())
}

//! The backup of a running broker: the storage's files as of a checkpoint, and a metadata store with the catalog as of a
//! moment after it, in one folder of the data directory that `millstream log backup` copies (docs/decisions/0012).
//!
//! One at a time: a folder that is there is somebody's, until it is given back or the broker starts anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_metadata::catalog::CopyCatalogError;
use millstream_metadata::store::{EmbeddedStore, OpenStoreError};
use millstream_storage::{BACKUP_DIR, BackupFile, StorageError};
use tokio::sync::Mutex;

use crate::Broker;
use crate::start::METADATA_FILE;

/// Whether a folder is there.
#[derive(Debug, Default)]
pub(crate) struct Backups(Mutex<bool>);

/// A folder of a backup.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<BackupFile>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("another backup is under way; one that was given up ends with `millstream log backup --abandon`")]
    UnderWay,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Catalog(#[from] CopyCatalogError),
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// Makes the folder. When its caller goes away meanwhile, somebody has to give it back all the same.
pub(crate) async fn begin(broker: Arc<Broker>) -> Result<Backup, BackupError> {
    let mut there = broker.backups().0.lock().await;
    if *there {
        return Err(BackupError::UnderWay);
    }
    *there = true;
    let made = make(&broker).await;
    if made.is_err() {
        *there = false;
        // What there is of it is removed by the next one, or the next start.
        let _ = broker.storage().forget_backup().await;
    }
    made
}

async fn make(broker: &Broker) -> Result<Backup, BackupError> {
    let mut files = broker.storage().backup().await?;
    let folder = broker.settings().data_dir.join(BACKUP_DIR);
    let file = folder.join(METADATA_FILE);
    let place = file.clone();
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&place)).await;
    let store = opened.map_err(|error| failed(&file, std::io::Error::other(error)))??;
    broker.catalog().copy_to(&store).await?;
    drop(store);
    let bytes = std::fs::metadata(&file).map_err(|error| failed(&file, error))?.len();
    files.push(BackupFile { path: Path::new(METADATA_FILE).to_owned(), bytes });
    let folder = std::path::absolute(&folder).map_err(|error| failed(&folder, error))?;
    Ok(Backup { folder, files })
}

fn failed(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}

/// Removes the folder.
pub(crate) async fn end(broker: Arc<Broker>) -> Result<(), BackupError> {
    let mut there = broker.backups().0.lock().await;
    broker.storage().forget_backup().await?;
    *there = false;
    Ok(())
}

//! A directory that is there whole or not at all: made beside its place, under another name, and renamed into it at the end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A directory in the making; gone again unless it is kept.
#[derive(Debug)]
pub(super) struct NewDirectory {
    place: PathBuf,
    draft: PathBuf,
    /// Open from the beginning, so that syncing it tells of every write that failed since.
    opened: File,
    kept: bool,
}

impl NewDirectory {
    /// Begins to make `place`, which must not exist or be empty; `suffix` is what the name in between ends with.
    pub(super) fn begin(place: &Path, suffix: &str) -> Result<Self> {
        let place = std::path::absolute(place)?;
        let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
            bail!("{} is no place for a new directory", place.display());
        };
        match fs::read_dir(&place).map(|mut entries| entries.next().is_none()) {
            Ok(true) => check_same_file_system(&place, parent)?,
            Ok(false) => bail!("{} is not empty: name a new directory", place.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be used", place.display())),
        }
        fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let mut draft_name = name.to_owned();
        draft_name.push(suffix);
        let draft = parent.join(draft_name);
        match fs::create_dir(&draft) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} is left from an attempt that was cut off: remove it and try again", draft.display());
            }
            made => made.with_context(|| format!("{} cannot be made", draft.display()))?,
        }
        let opened = File::open(&draft)?;
        Ok(Self { place, draft, opened, kept: false })
    }

    /// Where it lies until it is kept.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Puts it in its place, durably with all that lies in it.
    pub(super) fn keep(mut self) -> Result<PathBuf> {
        sync_tree(&self.draft, &self.opened).with_context(|| format!("{} cannot be synced", self.draft.display()))?;
        fs::rename(&self.draft, &self.place)
            .with_context(|| format!("{} cannot become {}", self.draft.display(), self.place.display()))?;
        self.kept = true;
        let parent = self.place.parent().expect("a draft was made beside it");
        File::open(parent)?.sync_all()?;
        Ok(self.place.clone())
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.draft)
        {
            tracing::warn!("{} could not be removed: {error}", self.draft.display());
        }
    }
}

/// Makes everything below a directory durable: on Linux with its whole file system, which is one call for any number of files.
#[cfg(target_os = "linux")]
fn sync_tree(_: &Path, opened: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(opened)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_tree(dir: &Path, opened: &File) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (path, file) = {
            let entry = entry?;
            (entry.path(), File::open(entry.path())?)
        };
        if path.is_dir() { sync_tree(&path, &file)? } else { file.sync_all()? }
    }
    opened.sync_all()
}

/// A mount point cannot be renamed over.
fn check_same_file_system(place: &Path, parent: &Path) -> Result<()> {
    if fs::metadata(place)?.dev() != fs::metadata(parent)?.dev() {
        bail!("{} is a mount point: name a new directory below it", place.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("new");
        let new = NewDirectory::begin(&place, ".half").unwrap();
        fs::write(new.draft().join("file"), b"x").unwrap();
        assert!(!place.exists());
        drop(new);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_kept_is_in_its_place_also_over_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("new");
        fs::create_dir(&place).unwrap();
        let new = NewDirectory::begin(&place, ".half").unwrap();
        fs::write(new.draft().join("file"), b"x").unwrap();
        assert_eq!(new.keep().unwrap(), place);
        assert_eq!(fs::read(place.join("file")).unwrap(), b"x");
        let again = NewDirectory::begin(&place, ".half").unwrap_err().to_string();
        assert!(again.ends_with("is not empty: name a new directory"), "{again}");
    }

    #[test]
    fn a_draft_that_was_left_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("new.half")).unwrap();
        let refused = NewDirectory::begin(&dir.path().join("new"), ".half").unwrap_err().to_string();
        assert!(refused.contains("new.half is left from an attempt that was cut off"), "{refused}");
        assert!(dir.path().join("new.half").exists());
    }
}

//! What differs between operating systems: direct and synced opening, and thread priority.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
pub(super) use linux::{finish_durable_write, open_direct, open_durable, prefer_this_thread};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{finish_durable_write, open_direct, open_durable, prefer_this_thread};

#[cfg(target_os = "linux")]
mod linux {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    use super::{File, OpenOptions, Path, io};

    /// Niceness of I/O threads: on a busy CPU a woken thread otherwise waits for a tick.
    const IO_THREAD_NICE: i32 = -10;

    fn flags(flags: OFlags) -> i32 {
        flags.bits().cast_signed()
    }

    /// Direct where the file system can, and every write synced.
    pub(in crate::disk) fn open_durable(path: &Path) -> io::Result<File> {
        let open = |extra: OFlags| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).custom_flags(flags(OFlags::DSYNC | extra));
            options.open(path)
        };
        match open(OFlags::DIRECT) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                open(OFlags::empty())
            }
            opened => opened,
        }
    }

    /// Past the page cache where the file system can.
    pub(in crate::disk) fn open_direct(path: &Path) -> io::Result<File> {
        match OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECT)).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => File::open(path),
            opened => opened,
        }
    }

    /// `O_DSYNC` has done it.
    #[expect(clippy::unnecessary_wraps, reason = "the portable twin syncs here")]
    pub(in crate::disk) fn finish_durable_write(_file: &File) -> io::Result<()> {
        Ok(())
    }

    /// Asks for a better priority; without the right to it the thread goes on as it is.
    pub(in crate::disk) fn prefer_this_thread() {
        if let Err(error) = rustix::process::setpriority_process(None, IO_THREAD_NICE) {
            tracing::debug!(%error, "I/O threads run at normal priority: synced writes wait longer on a busy CPU");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::{File, OpenOptions, Path, io};

    pub(in crate::disk) fn open_durable(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub(in crate::disk) fn open_direct(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    /// `sync_data` is `F_FULLFSYNC` on macOS.
    pub(in crate::disk) fn finish_durable_write(file: &File) -> io::Result<()> {
        file.sync_data()
    }

    pub(in crate::disk) fn prefer_this_thread() {}
}

//! What differs between operating systems: direct and synced opening, and thread priority.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
pub(super) use linux::{open_direct, open_durable, prefer_this_thread, write_durable};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{open_direct, open_durable, prefer_this_thread, write_durable};

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSlice;
    use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

    use rustix::fs::OFlags;
    use rustix::io::{Errno, ReadWriteFlags, pwritev2};

    use super::{File, OpenOptions, Path, io};

    /// Niceness of I/O threads: on a busy CPU a woken thread otherwise waits for a tick.
    const IO_THREAD_NICE: i32 = -10;

    fn flags(flags: OFlags) -> i32 {
        flags.bits().cast_signed()
    }

    /// For writing, past the page cache where the file system can.
    pub(in crate::disk) fn open_durable(path: &Path) -> io::Result<File> {
        let open = |extra: OFlags| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).custom_flags(flags(extra)).open(path)
        };
        match open(OFlags::DIRECT) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => open(OFlags::empty()),
            opened => opened,
        }
    }

    /// Writes so that the bytes are on the device when it returns. (rustix's `OFlags::DSYNC` is `O_SYNC`, which would
    /// write the file's times with every slot.)
    pub(in crate::disk) fn write_durable(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match pwritev2(file, &[IoSlice::new(bytes)], at, ReadWriteFlags::DSYNC) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    file.write_all_at(bytes, at)?;
                    return file.sync_data();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Past the page cache where the file system can.
    pub(in crate::disk) fn open_direct(path: &Path) -> io::Result<File> {
        match OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECT)).open(path) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => File::open(path),
            opened => opened,
        }
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
    use std::os::unix::fs::FileExt as _;

    use super::{File, OpenOptions, Path, io};

    pub(in crate::disk) fn open_durable(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub(in crate::disk) fn open_direct(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    /// `sync_data` is `F_FULLFSYNC` on macOS.
    pub(in crate::disk) fn write_durable(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)?;
        file.sync_data()
    }

    pub(in crate::disk) fn prefer_this_thread() {}
}

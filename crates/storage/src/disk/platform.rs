//! What differs between operating systems: direct and synced opening, and thread priority.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rustix::time::ClockId;

#[cfg(target_os = "linux")]
pub(crate) use linux::{defer_this_thread, prefer_this_thread};
#[cfg(target_os = "linux")]
pub(super) use linux::{open_direct, open_durable, read_cached, write_behind, write_durable, write_pieces};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{defer_this_thread, prefer_this_thread};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{open_direct, open_durable, read_cached, write_behind, write_durable, write_pieces};

/// CPU time that the calling thread has used.
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{IoSlice, IoSliceMut};
    use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

    use rustix::fs::OFlags;
    use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};

    use super::{Bytes, File, OpenOptions, Path, io};

    /// Of `uapi/linux/fs.h`; rustix has no name for it yet.
    const RWF_DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);
    /// Pieces handed to the system at a time (its `IOV_MAX`).
    const PIECES_MAX: usize = 1024;
    /// Niceness of I/O threads: on a busy CPU a woken thread otherwise waits for a tick.
    const IO_THREAD_NICE: i32 = -10;

    /// Niceness of threads for which nobody waits.
    const DEFERRED_THREAD_NICE: i32 = 5;

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

    /// Writes pieces one after the other into the page cache, as few system calls as they need.
    pub(in crate::disk) fn write_pieces(file: &File, pieces: &[Bytes], at: u64) -> io::Result<()> {
        write_with(file, pieces, at, ReadWriteFlags::empty())
    }

    /// As `write_pieces`; the system begins to write at once and drops the pages when they are on the device. False when
    /// it does not know how (Linux before 6.14, some file systems): nothing is written then.
    pub(in crate::disk) fn write_behind(file: &File, pieces: &[Bytes], at: u64) -> io::Result<bool> {
        match write_with(file, pieces, at, RWF_DONTCACHE) {
            Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(false),
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn write_with(file: &File, pieces: &[Bytes], mut at: u64, flags: ReadWriteFlags) -> io::Result<()> {
        for some in pieces.chunks(PIECES_MAX) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut left = slices.as_mut_slice();
            while left.iter().any(|slice| !slice.is_empty()) {
                match pwritev2(file, left, at, flags) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        at += written as u64;
                        IoSlice::advance_slices(&mut left, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Reads what the page cache holds; none when that is nothing, or the file system cannot tell.
    pub(in crate::disk) fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
        preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT).ok()
    }

    /// Past the page cache where the file system can.
    pub(in crate::disk) fn open_direct(path: &Path) -> io::Result<File> {
        match OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECT)).open(path) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => File::open(path),
            opened => opened,
        }
    }

    /// Asks for a better priority; without the right to it the thread goes on as it is.
    pub(crate) fn prefer_this_thread() {
        if let Err(error) = rustix::process::setpriority_process(None, IO_THREAD_NICE) {
            tracing::debug!(%error, "I/O threads run at normal priority: synced writes wait longer on a busy CPU");
        }
    }

    /// Lets others come first.
    pub(crate) fn defer_this_thread() {
        if let Err(error) = rustix::process::setpriority_process(None, DEFERRED_THREAD_NICE) {
            tracing::debug!(%error, "a thread in the background runs at normal priority");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::os::unix::fs::FileExt as _;

    use super::{Bytes, File, OpenOptions, Path, io};

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

    /// Writes pieces one after the other into the page cache.
    pub(in crate::disk) fn write_pieces(file: &File, pieces: &[Bytes], mut at: u64) -> io::Result<()> {
        for piece in pieces {
            file.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// There is no way to say so here.
    pub(in crate::disk) fn write_behind(_: &File, _: &[Bytes], _: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// There is no way to ask here.
    pub(in crate::disk) fn read_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
        None
    }

    pub(crate) fn prefer_this_thread() {}

    pub(crate) fn defer_this_thread() {}
}

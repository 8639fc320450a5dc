//! The one unsafe corner of the runner: what a child does between fork and exec so that not even `kill -9` of the platform
//! leaves it, or a child of its own, behind. It tells the warden its process group, itself, because we may be killed
//! before we could; and on Linux it asks the kernel to be killed when we die.
#![expect(unsafe_code, reason = "code between fork and exec cannot be run by the standard library in a safe way")]

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Pid, getpid};

use super::warden::Warden;

/// Longest line that announces a group: sign, ten digits, newline.
const LINE_BYTES_MAX: usize = 12;

/// Ties `command`'s process, which must lead its own group, to us: its starting thread must live as long as the process.
pub(super) fn tie_to_us(command: &mut Command, warden: &Arc<Warden>) {
    let us = getpid();
    let warden = Arc::clone(warden);
    let pipe = warden.pipe();
    // SAFETY: the closure runs in the child after fork, where only async-signal-safe calls are allowed: it makes a few
    // system calls (getpid, write, prctl, getppid) and allocates nothing; an error is made from a number. The descriptor is
    // open: `warden`, which owns it, is held by the closure.
    unsafe {
        command.pre_exec(move || {
            let _held = &warden;
            if let Some(pipe) = pipe {
                announce(BorrowedFd::borrow_raw(pipe), getpid());
            }
            die_with(us)
        });
    }
}

/// Writes `+GROUP` to the warden. A failure is not a reason not to run: the kernel's signal remains.
fn announce(pipe: BorrowedFd<'_>, group: Pid) {
    let mut line = [b'\n'; LINE_BYTES_MAX];
    let mut at = LINE_BYTES_MAX - 1;
    let mut rest = group.as_raw_nonzero().get().unsigned_abs();
    while rest > 0 {
        at -= 1;
        line[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    at -= 1;
    line[at] = b'+';
    // Shorter than PIPE_BUF, so it arrives whole or not at all.
    let _ = rustix::io::write(pipe, &line[at..]);
}

#[cfg(target_os = "linux")]
fn die_with(parent: Pid) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call: then nobody would send the signal.
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: Pid) -> io::Result<()> {
    Ok(())
}

//! The one unsafe corner of the runner: a child asks the kernel, between fork and exec, to be killed when we die, so that
//! not even `kill -9` of the platform leaves a container behind. Linux only; elsewhere the warden alone does that.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "code between fork and exec cannot be run by the standard library in a safe way")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Makes `command`'s process die with the thread that starts it: that thread must live as long as the process.
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: the closure runs in the child after fork, where only async-signal-safe calls are allowed: it makes two system
    // calls (prctl, getppid) and allocates nothing; an error is made from a number.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
}

fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call: then nobody would send the signal.
    if getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc_esrch())) }
}

/// ESRCH, "no such process".
fn libc_esrch() -> i32 {
    rustix::io::Errno::SRCH.raw_os_error()
}

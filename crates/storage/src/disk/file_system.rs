//! File systems on which a broker's promises do not hold. Its start asks once, and says so.

use std::path::Path;

/// What a file system is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakFileSystem {
    /// In memory: what is synced is gone with the power.
    Memory,
    /// On another machine: what a sync and a lock mean there is not ours to say.
    Network,
}

impl WeakFileSystem {
    /// The file system that a path lies on, if it is one of these; none, too, where nobody can tell.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        #[cfg(target_os = "linux")]
        return rustix::fs::statfs(path).ok().and_then(|stat| Self::of_magic(stat.f_type.cast_unsigned()));
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// By the number that Linux gives it (statfs(2)).
    #[cfg(any(target_os = "linux", test))]
    fn of_magic(magic: u64) -> Option<Self> {
        // Some are sign-extended from 32 bits, depending on the machine.
        match magic & 0xffff_ffff {
            0x0102_1994 | 0x8584_58f6 => Some(Self::Memory),
            0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some(Self::Network),
            _ => None,
        }
    }

    /// What does not hold there, and what to do.
    #[must_use]
    pub const fn warning(self) -> &'static str {
        match self {
            Self::Memory => {
                "the data directory is in memory (tmpfs): acknowledged records are gone when the machine stops; \
                 name a directory on a disk with --data-dir"
            }
            Self::Network => {
                "the data directory is on a network file system (NFS or SMB): whether acknowledged records survive depends \
                 on the server and its mount options, and two brokers may not see each other's lock; \
                 name a directory on a local disk with --data-dir"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        let check = |magic: u64, kind| assert_eq!(WeakFileSystem::of_magic(magic), kind, "{magic:#x}");
        check(0x0102_1994, Some(WeakFileSystem::Memory));
        check(0x8584_58f6, Some(WeakFileSystem::Memory));
        check(0xffff_ffff_8584_58f6, Some(WeakFileSystem::Memory));
        check(0x6969, Some(WeakFileSystem::Network));
        check(0xff53_4d42, Some(WeakFileSystem::Network));
        check(0xfe53_4d42, Some(WeakFileSystem::Network));
        check(0xef53, None);
        check(0x5846_5342, None);
        check(0x9123_683e, None);
        check(0, None);
    }

    #[test]
    fn a_path_that_is_not_there_is_no_file_system() {
        assert_eq!(WeakFileSystem::of(Path::new("/nonexistent/nowhere")), None);
    }
}

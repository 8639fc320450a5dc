//! `millstream log dump`: what files of logs hold, as Kafka's `kafka-dump-log` prints it, and files of our own as lines.
//!
//! stdout is Kafka's, line by line. What is wrong goes to stderr with its file and position, and makes the exit code 1.

mod indexes;
mod records;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args as ClapArgs;
use millstream_model::Offset;
use millstream_storage::inspect::own_files::OwnFile;
use millstream_storage::inspect::{Damage, batches::BatchScan};

/// Suffixes of files that are about to go or to come; what is before them tells the kind.
const PASSING: [&str; 3] = [".deleted", ".cleaned", ".swap"];
/// The first bytes that tell one of our own files.
const MAGIC_BYTES: usize = 8;

/// Prints what files of logs hold (kafka-dump-log).
///
/// Segments, their indexes and Kafka's snapshots of producers; the lane's slots, the checkpoint file and the session file.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The files
    #[arg(value_name = "FILE", required_unless_present = "files")]
    paths: Vec<PathBuf>,
    /// More of them, separated by commas, as Kafka's tool takes them
    #[arg(long, value_name = "FILE,FILE", value_delimiter = ',')]
    files: Vec<PathBuf>,
    /// Records too, not only batches; of our own files each entry
    #[arg(long)]
    deep_iteration: bool,
    /// Keys and values too
    #[arg(long)]
    print_data_log: bool,
    /// Of records nothing but keys and values
    #[arg(long)]
    skip_record_metadata: bool,
    /// Read at most so many bytes of a log
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// Only look whether a start would build an index anew
    #[arg(long)]
    index_sanity_check: bool,
    /// Compare indexes with their log, and print nothing of them
    #[arg(long)]
    verify_index_only: bool,
}

/// A dump under way.
struct Dump<'a> {
    args: &'a Args,
    out: BufWriter<io::StdoutLock<'static>>,
    /// Something was wrong.
    damaged: bool,
}

/// What a segment's file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Log,
    Index,
    TimeIndex,
    TxnIndex,
    Snapshot,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("log", Self::Log),
        ("index", Self::Index),
        ("timeindex", Self::TimeIndex),
        ("txnindex", Self::TxnIndex),
        ("snapshot", Self::Snapshot),
    ];
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut dump = Dump { args, out: BufWriter::new(io::stdout().lock()), damaged: false };
    for path in args.paths.iter().chain(&args.files) {
        match dump.file(path) {
            // Whoever reads has seen enough.
            Err(error) if is_closed_pipe(&error) => return Ok(ExitCode::SUCCESS),
            Err(error) => {
                dump.out.flush().ok();
                dump.damaged = true;
                eprintln!("error: {error:#}");
            }
            Ok(()) => {}
        }
    }
    match dump.out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if dump.damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl Dump<'_> {
    fn file(&mut self, path: &Path) -> Result<()> {
        writeln!(self.out, "Dumping {}", path.display())?;
        let file = OpenedFile::open(path)?;
        if let Some(own) = OwnFile::of(&file.read(0, MAGIC_BYTES)?) {
            return self.own(own, &file);
        }
        match named(path)? {
            (Kind::Log, base) => self.log(&file, base),
            (Kind::Index, base) => self.index(&file, base),
            (Kind::TimeIndex, base) => self.time_index(&file, base),
            (Kind::TxnIndex, _) => self.aborted(&file),
            (Kind::Snapshot, _) => self.snapshot(&file),
        }
    }

    fn own(&mut self, kind: OwnFile, file: &OpenedFile) -> Result<()> {
        let content = file.whole()?;
        let mut written = Ok(());
        let deep = self.args.deep_iteration;
        let told = kind.tell(&content, deep, &mut |line| {
            if written.is_ok() {
                written = writeln!(self.out, "{line}");
            }
        });
        written?;
        self.check(file, told)
    }

    /// Tells damage, after what stdout has got before.
    fn check(&mut self, file: &OpenedFile, told: Result<(), Damage>) -> Result<()> {
        let Err(damage) = told else { return Ok(()) };
        self.complain(&format!("{} is damaged at {damage}", file.path.display()))
    }

    fn complain(&mut self, sentence: &str) -> Result<()> {
        self.out.flush()?;
        self.damaged = true;
        eprintln!("error: {sentence}");
        Ok(())
    }
}

/// Kind and base offset by a file's name.
fn named(path: &Path) -> Result<(Kind, Offset)> {
    let unknown = || format!("{} is none of the files that are known", path.display());
    let name = path.file_name().and_then(OsStr::to_str).with_context(unknown)?;
    let name = PASSING.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let (base, suffix) = name.split_once('.').with_context(unknown)?;
    let kind = Kind::ALL.iter().find(|(known, _)| *known == suffix).map(|(_, kind)| *kind).with_context(unknown)?;
    let base = base.parse().ok().filter(|base| *base >= 0).with_context(|| {
        format!("{}: the name does not begin with the offset that the segment begins at", path.display())
    })?;
    Ok((kind, Offset(base)))
}

/// A file to be read at any place.
struct OpenedFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl OpenedFile {
    fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("{} cannot be read", path.display());
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        anyhow::ensure!(metadata.is_file(), "{} is no file", path.display());
        Ok(Self { path: path.to_owned(), file, length: metadata.len() })
    }

    /// The file beside it of the same segment.
    fn beside(&self, suffix: &str) -> Result<Self> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let base = name.split('.').next().unwrap_or_default();
        let passing = PASSING.iter().find(|passing| name.ends_with(**passing)).copied().unwrap_or_default();
        Self::open(&self.path.with_file_name(format!("{base}.{suffix}{passing}")))
    }

    /// Up to `length` bytes, fewer at the end only.
    fn read(&self, at: u64, length: usize) -> Result<Bytes> {
        let present = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length.min(present)];
        self.file
            .read_exact_at(&mut buffer, at)
            .with_context(|| format!("{} cannot be read at position {at}", self.path.display()))?;
        Ok(buffer.into())
    }

    fn whole(&self) -> Result<Bytes> {
        self.read(0, usize::try_from(self.length).unwrap_or(usize::MAX))
    }

    /// A walk over its batches.
    fn batches(&self) -> BatchScan<impl FnMut(u64, usize) -> Result<Bytes>> {
        BatchScan::new(|at, length| self.read(at, length), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name() {
        let check =
            |name: &str, kind, base| assert_eq!(named(Path::new(name)).unwrap(), (kind, Offset(base)), "{name}");
        check("t-0/00000000000000000012.log", Kind::Log, 12);
        check("00000000000000000000.timeindex", Kind::TimeIndex, 0);
        check("00000000000000000007.txnindex.swap", Kind::TxnIndex, 7);
        check("00000000000000000007.log.deleted", Kind::Log, 7);
        for name in ["a", "a.b", "x.log", "-5.log", "12.logs", "12", ".log"] {
            assert!(named(Path::new(name)).is_err(), "{name}");
        }
    }
}

//! `millstream log backup`: a copy of a running broker's data, from which another broker starts.
//!
//! The broker makes a folder of links in its data directory and says which bytes count; this copies them, and has the folder
//! removed (docs/decisions/0012). The copy gets its name when it is whole and durable.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args as ClapArgs;

use super::counted;
use super::progress::ByteProgress;

/// Copies a running broker's data to a new directory.
///
/// Everything that was acknowledged before is in it, and `millstream broker --data-dir DIR` starts on it.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// The new directory
    #[arg(value_name = "DIR", required_unless_present = "abandon")]
    dir: Option<PathBuf>,
    /// The broker's HTTP address, which it logs at its start: `metrics at http://…`
    #[arg(long, value_name = "ADDR:PORT")]
    http: SocketAddr,
    /// Give up a backup that ended before it was whole
    #[arg(long, conflicts_with = "dir")]
    abandon: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let Some(dir) = &args.dir else {
        command(args.http, "DELETE")?;
        return Ok(ExitCode::SUCCESS);
    };
    ensure!(!dir.exists(), "{} is there already: name a new directory", dir.display());
    let draft = draft_of(dir)?;
    fs::create_dir(&draft).with_context(|| format!("{} cannot be made", draft.display()))?;
    let copied = command(args.http, "POST").and_then(|answer| {
        let copied = copy(&answer, &draft);
        // The copy is what it is, whether the broker still answers or not.
        let ended = command(args.http, "DELETE").map(|_| ());
        copied.and_then(|copied| ended.map(|()| copied))
    });
    let (files, bytes) = match copied {
        Ok(copied) => copied,
        Err(error) => {
            // The broker's data is untouched; half a copy is of no use.
            fs::remove_dir_all(&draft).ok();
            return Err(error);
        }
    };
    fs::rename(&draft, dir).with_context(|| format!("{} cannot be named {}", draft.display(), dir.display()))?;
    sync_dir(parent(dir))?;
    println!("{} of {} in {}", counted(files, "file"), indicatif::HumanBytes(bytes), dir.display());
    Ok(ExitCode::SUCCESS)
}

/// The name that the copy has until it is whole.
fn draft_of(dir: &Path) -> Result<PathBuf> {
    let mut name = dir.file_name().with_context(|| format!("{} has no name", dir.display()))?.to_owned();
    name.push(".backing-up");
    Ok(dir.with_file_name(name))
}

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Asks the broker for something about backups; its answer.
fn command(http: SocketAddr, method: &str) -> Result<String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        let head = format!(
            "{method} /backup HTTP/1.1\r\nHost: {http}\r\nX-Millstream-Command: backup\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().with_context(|| format!("no broker serves HTTP at {http}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the broker's answer is cut short")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("the broker refuses with {status}: {}", body.trim_end());
    }
    Ok(body.to_owned())
}

/// Copies what the broker said, durably; how many files and bytes.
fn copy(answer: &str, to: &Path) -> Result<(usize, u64)> {
    let mut lines = answer.lines();
    let folder = Path::new(lines.next().context("the broker's answer names no folder")?);
    let files: Vec<(u64, &Path)> = lines.map(line).collect::<Result<_>>()?;
    let total = files.iter().map(|(bytes, _)| bytes).sum();
    let progress = ByteProgress::new(total);
    let mut dirs = std::collections::BTreeSet::from([to.to_owned()]);
    for (bytes, path) in &files {
        let place = to.join(path);
        let dir = place.parent().context("a file lies in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        dirs.extend(dir.ancestors().take_while(|dir| dir.starts_with(to)).map(Path::to_owned));
        copy_file(&folder.join(path), &place, *bytes)?;
        let shown = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        progress.done_of(&shown, *bytes);
    }
    dirs.iter().try_for_each(|dir| sync_dir(dir))?;
    Ok((files.len(), total))
}

/// A line of the answer: length and path.
fn line(line: &str) -> Result<(u64, &Path)> {
    let wrong = || format!("the broker's answer has a line that is not LENGTH PATH: {line}");
    let (bytes, path) = line.split_once(' ').with_context(wrong)?;
    let path = Path::new(path);
    // Nothing outside the copy is written, whoever answered.
    ensure!(path.components().all(|part| matches!(part, Component::Normal(_))), wrong());
    Ok((bytes.parse().with_context(wrong)?, path))
}

fn copy_file(from: &Path, to: &Path, bytes: u64) -> Result<()> {
    let source = File::open(from).with_context(|| {
        format!("{} cannot be read; the command runs on the broker's machine, as its user", from.display())
    })?;
    let write = || -> io::Result<u64> {
        let mut target = File::create_new(to)?;
        let copied = io::copy(&mut source.take(bytes), &mut target)?;
        target.sync_all()?;
        Ok(copied)
    };
    let copied = write().with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    ensure!(copied == bytes, "{} has {copied} bytes, {bytes} were there", from.display());
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<()> {
    let sync = || File::open(dir)?.sync_all();
    sync().with_context(|| format!("{} cannot be synced", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_writes_nothing_outside_the_copy() {
        assert_eq!(line("12 kafka/a b-0/x.log").unwrap(), (12, Path::new("kafka/a b-0/x.log")));
        for wrong in ["12", "x kafka/a", "12 /etc/passwd", "12 ../x", "12 kafka/../../x", ""] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }
}

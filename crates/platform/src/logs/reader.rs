//! Reading a container's log for `kubectl logs`: whole or its tail, since a time, with or without times, and on as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{LINE_BYTES_MAX, Logs};

/// Text handed out at once.
const PIECE_BYTES: usize = 64 << 10;

/// What of a log is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogOptions {
    pub(crate) follow: bool,
    /// Only this many last lines.
    pub(crate) tail_lines: Option<usize>,
    /// Only lines at or after this time.
    pub(crate) since: Option<Timestamp>,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
    /// At most this much text.
    pub(crate) bytes_max: Option<u64>,
}

/// A position in a log. Its calls block on the disk.
#[derive(Debug)]
pub(crate) struct LogReader {
    logs: Logs,
    path: PathBuf,
    options: LogOptions,
    file: Option<BufReader<File>>,
    position: u64,
    /// The last line was a part: the next goes on in it.
    is_inside_line: bool,
    bytes_left: u64,
}

impl LogReader {
    /// Opens the log at `path` at the place that `options` ask for. A log that is not there yet counts as empty.
    pub(crate) fn open(logs: &Logs, path: &Path, options: LogOptions) -> io::Result<Self> {
        let mut reader = Self {
            logs: logs.clone(),
            path: path.to_owned(),
            options,
            file: None,
            position: 0,
            is_inside_line: false,
            bytes_left: options.bytes_max.unwrap_or(u64::MAX),
        };
        reader.position = match options.tail_lines {
            Some(lines) => tail_position(path, lines)?,
            None => 0,
        };
        Ok(reader)
    }

    /// The text before the present file, which a rotation moved aside; empty when there is none or a tail is wanted.
    pub(crate) fn read_rotated(&mut self) -> io::Result<Vec<u8>> {
        if self.options.tail_lines.is_some() {
            return Ok(Vec::new());
        }
        let mut text = Vec::new();
        let Some(file) = open(&self.path.with_extension("log.1"))? else { return Ok(text) };
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        while read_line(&mut file, &mut line)? {
            self.push(&mut text, &line);
        }
        Ok(text)
    }

    /// The next text; empty when there is no more for now.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if self.file.is_none() || self.was_rotated()? {
            let Some(file) = open(&self.path)? else { return Ok(text) };
            let mut file = BufReader::new(file);
            file.seek(SeekFrom::Start(self.position))?;
            self.file = Some(file);
        }
        let mut line = Vec::new();
        while text.len() < PIECE_BYTES {
            let Some(file) = &mut self.file else { break };
            if !read_line(file, &mut line)? {
                // An unfinished line is read again, whole, when it is finished.
                file.seek(SeekFrom::Start(self.position))?;
                break;
            }
            self.position += line.len() as u64;
            self.push(&mut text, &line);
        }
        Ok(text)
    }

    /// Whether more text may come: the log is followed and still written, and the limit is not reached.
    pub(crate) fn may_continue(&self) -> bool {
        self.options.follow && self.bytes_left > 0 && self.logs.is_open(&self.path)
    }

    /// Whether the limit on the text is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes_left == 0
    }

    fn was_rotated(&mut self) -> io::Result<bool> {
        let Some(present) = open(&self.path)? else { return Ok(false) };
        let is_shorter = present.metadata()?.len() < self.position;
        if is_shorter {
            self.position = 0;
        }
        Ok(is_shorter)
    }

    /// Appends the text of a stored line, unless the options leave it out.
    fn push(&mut self, text: &mut Vec<u8>, line: &[u8]) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(_stream), Some(tag), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        if let Some(since) = self.options.since {
            let time = std::str::from_utf8(time).ok().and_then(|time| time.parse::<Timestamp>().ok());
            if time.is_some_and(|time| time < since) {
                return;
            }
        }
        let mut piece = Vec::with_capacity(line.len());
        if self.options.timestamps && !self.is_inside_line {
            piece.extend_from_slice(time);
            piece.push(b' ');
        }
        self.is_inside_line = tag == b"P";
        piece.extend_from_slice(if self.is_inside_line { rest.strip_suffix(b"\n").unwrap_or(rest) } else { rest });
        let count = usize::try_from(self.bytes_left).unwrap_or(usize::MAX).min(piece.len());
        text.extend_from_slice(&piece[..count]);
        self.bytes_left -= count as u64;
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads one whole line into `line`; false at the end or when the last line is unfinished.
fn read_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    // Lines are bounded by the writer; the bound here keeps a foreign file from filling memory.
    io::Read::take(&mut *file, 2 * LINE_BYTES_MAX as u64).read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n'))
}

/// Where the last `lines` lines begin.
fn tail_position(path: &Path, lines: usize) -> io::Result<u64> {
    let Some(file) = open(path)? else { return Ok(0) };
    let mut file = BufReader::new(file);
    let mut starts: VecDeque<u64> = VecDeque::new();
    let (mut position, mut line, mut begins) = (0, Vec::new(), true);
    while read_line(&mut file, &mut line)? {
        if begins {
            starts.push_back(position);
            if starts.len() > lines {
                starts.pop_front();
            }
        }
        begins = line.splitn(4, |byte| *byte == b' ').nth(2) != Some(b"P");
        position += line.len() as u64;
    }
    Ok(if lines == 0 { position } else { starts.front().copied().unwrap_or(position) })
}

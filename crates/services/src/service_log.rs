//! The services' log lines on stdout, in the format of the lab:
//! `2020-11-19 14:35:59,009 INFO  [ch.puz.qua.rea.bou.ReactiveDataConsumer] (vert.x-eventloop-thread-0) message`.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use jiff::Zoned;
use parking_lot::Mutex;

/// Where log lines go. Clones write to the same place.
#[derive(Clone)]
pub struct ServiceLog {
    out: Arc<Mutex<dyn Write + Send>>,
    now: fn() -> Zoned,
}

/// Who says it: a Java logger's name, shortened as the lab shows it, and the thread it would say it on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) logger: &'static str,
    pub(crate) thread: &'static str,
}

/// What the service says of itself.
pub(crate) const MAIN: Speaker = Speaker { logger: "io.quarkus", thread: "main" };

impl ServiceLog {
    /// Lines go to `out`, with times from `now`.
    pub fn new(out: impl Write + Send + 'static, now: fn() -> Zoned) -> Self {
        Self { out: Arc::new(Mutex::new(out)), now }
    }

    /// Lines go to stdout, with local time.
    pub fn stdout() -> Self {
        Self::new(std::io::stdout(), Zoned::now)
    }

    pub(crate) fn info(&self, speaker: Speaker, message: impl fmt::Display) {
        self.line("INFO", speaker, &message);
    }

    pub(crate) fn warn(&self, speaker: Speaker, message: impl fmt::Display) {
        self.line("WARN", speaker, &message);
    }

    fn line(&self, level: &str, speaker: Speaker, message: &dyn fmt::Display) {
        let now = (self.now)();
        let time = now.strftime("%Y-%m-%d %H:%M:%S");
        let milliseconds = now.millisecond();
        let Speaker { logger, thread } = speaker;
        // One write, so that lines of several threads do not mix.
        let line = format!("{time},{milliseconds:03} {level:<5} [{logger}] ({thread}) {message}\n");
        let mut out = self.out.lock();
        // Nobody reads the log any more: the service works on.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

impl fmt::Debug for ServiceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceLog")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A log whose lines can be read back.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    fn lab_time() -> Zoned {
        jiff::civil::datetime(2020, 11, 19, 14, 35, 59, 9_000_000).to_zoned(jiff::tz::TimeZone::UTC).unwrap()
    }

    #[test]
    fn lines_look_as_in_the_lab() {
        let lines = Lines::default();
        let log = ServiceLog::new(lines.clone(), lab_time);
        let speaker =
            Speaker { logger: "ch.puz.qua.rea.bou.ReactiveDataConsumer", thread: "vert.x-eventloop-thread-0" };
        log.info(speaker, r#"Received reactive message: {"data":0.30638741165836225}"#);
        log.warn(speaker, "late");
        assert_eq!(
            lines.text(),
            "2020-11-19 14:35:59,009 INFO  [ch.puz.qua.rea.bou.ReactiveDataConsumer] (vert.x-eventloop-thread-0) Received reactive message: {\"data\":0.30638741165836225}\n\
             2020-11-19 14:35:59,009 WARN  [ch.puz.qua.rea.bou.ReactiveDataConsumer] (vert.x-eventloop-thread-0) late\n"
        );
    }
}

//! Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet. A stderr that is closed
//! or full never fails a run (reliability.md section 5).

use super::redact::redact;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where progress goes.
pub struct Progress {
    shown: Shown,
}

enum Shown {
    Nothing,
    Lines(Mutex<Box<dyn Write + Send>>),
    /// Several at a time: the two sides are read at once.
    Bars(MultiProgress),
}

impl Progress {
    /// Bars when stderr is a terminal, else lines; nothing when `quiet`.
    pub fn on_stderr(quiet: bool) -> Progress {
        let shown = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bars(MultiProgress::new()),
            (false, false) => Shown::Lines(Mutex::new(Box::new(io::stderr()))),
        };
        Progress { shown }
    }

    /// Plain lines to any writer.
    pub fn lines(writer: impl Write + Send + 'static) -> Progress {
        Progress { shown: Shown::Lines(Mutex::new(Box::new(writer))) }
    }

    /// One line, such as a warning. Control characters from data are escaped.
    pub fn line(&self, text: &str) {
        let text = redact(text);
        let text = text.chars().flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default().collect::<String>());
            escaped.unwrap_or_else(|| letter.to_string()).chars().collect::<Vec<_>>()
        });
        let text = text.collect::<String>() + "\n";
        // A broken stderr is no reason to fail: there is nobody to tell.
        let _ = match &self.shown {
            Shown::Nothing => Ok(()),
            Shown::Lines(writer) => writer.lock().map_or(Ok(()), |mut writer| writer.write_all(text.as_bytes())),
            Shown::Bars(bars) => bars.suspend(|| io::stderr().write_all(text.as_bytes())),
        };
    }

    /// Starts a stage; `steps` is how many [`Stage::advance`] will count, where that is known.
    pub fn stage(&self, name: &'static str, steps: Option<u64>) -> Stage<'_> {
        let bar = match (&self.shown, steps) {
            (Shown::Bars(bars), Some(steps)) => {
                styled(bars.add(ProgressBar::new(steps)), "{prefix:>12} [{wide_bar}] {pos}/{len} {eta} {msg}")
            }
            (Shown::Bars(bars), None) => styled(bars.add(ProgressBar::new_spinner()), "{prefix:>12} {spinner} {pos} {msg}"),
            _ => ProgressBar::hidden(),
        };
        Stage { progress: self, name, bar: bar.with_prefix(name), started: Instant::now() }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shown {
            Shown::Nothing => "Progress(nothing)",
            Shown::Lines(_) => "Progress(lines)",
            Shown::Bars(_) => "Progress(bars)",
        })
    }
}

/// A stage under way. Its bar goes when it is dropped.
#[derive(Debug)]
pub struct Stage<'p> {
    progress: &'p Progress,
    name: &'static str,
    bar: ProgressBar,
    started: Instant,
}

impl Stage<'_> {
    /// So many steps further.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// What is being worked on, beside the bar.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(redact(what).escape_debug().to_string());
    }

    /// Ends the stage with its one line: name, counts and sums, milliseconds.
    pub fn done(self, counts: &str) {
        self.bar.finish_and_clear();
        let elapsed: Duration = self.started.elapsed();
        self.progress.line(&format!("{}: {counts}, {} ms", self.name, elapsed.as_millis()));
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    }

    #[test]
    fn each_stage_is_one_line() {
        let kept = Kept::default();
        let progress = Progress::lines(kept.clone());
        let stage = progress.stage("match", Some(2));
        stage.advance(2);
        stage.done("12 rows");
        progress.line("team \u{1b}[31m\nred");
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("match: 12 rows, ") && lines[0].ends_with(" ms"), "{text}");
        assert_eq!(lines[1], "team \\u{1b}[31m\\nred");
    }

    #[test]
    fn a_broken_stderr_and_quiet_are_borne() {
        for progress in
            [Progress::lines(Broken), Progress { shown: Shown::Nothing }, Progress { shown: Shown::Bars(MultiProgress::new()) }]
        {
            let stage = progress.stage("read", None);
            stage.advance(1);
            stage.doing("page 3");
            stage.done("1 row");
            drop(progress.stage("left alone", Some(3)));
        }
        assert_eq!(format!("{:?}", Progress::on_stderr(true)), "Progress(nothing)");
    }
}

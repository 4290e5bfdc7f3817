//! The body of an answer as it streams in: counted as it comes and as it is decompressed, cut at the caps.

use super::failure::{self, Failure, Trouble};
use crate::domain::fault::ExitCode;
use crate::edge::redact::redact;
use crate::job::PullLimits;
use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use reqwest::{Response, Version};
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers larger than this wait until no other is that large.
pub const LARGE: usize = 16 << 20;
/// Most bytes of an error's body that are shown (reliability.md section 7.4).
const EXCERPT: usize = 200;

/// Parts that grow one after the other: nothing is copied while an answer grows, so that what is held never
/// exceeds the cap by more than a part.
const PART: usize = 1 << 20;

/// Bytes up to a limit.
struct Capped {
    parts: Vec<Vec<u8>>,
    length: usize,
    limit: usize,
    over: bool,
}

impl Capped {
    fn new(limit: usize) -> Capped {
        Capped { parts: Vec::new(), length: 0, limit, over: false }
    }

    /// All bytes in one piece; the parts go as they are copied.
    fn joined(&mut self) -> Vec<u8> {
        let mut parts = std::mem::take(&mut self.parts).into_iter();
        let mut bytes = parts.next().unwrap_or_default();
        bytes.reserve_exact(self.length - bytes.len());
        parts.for_each(|part| bytes.extend(part));
        bytes
    }
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.length + part.len() > self.limit {
            self.over = true;
            return Err(io::Error::other("over the limit"));
        }
        let full = self.parts.last().is_none_or(|last| last.len() >= PART);
        if full {
            self.parts.push(Vec::with_capacity(PART.min(self.limit)));
        }
        let Some(last) = self.parts.last_mut() else { return Ok(0) };
        let taken = part.get(..part.len().min(PART.saturating_sub(last.len()))).unwrap_or_default();
        last.extend_from_slice(taken);
        self.length += taken.len();
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Sink {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Sink {
    fn capped(&self) -> &Capped {
        match self {
            Sink::Plain(capped) => capped,
            Sink::Gzip(decoder) => decoder.get_ref(),
        }
    }

    fn write(&mut self, part: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Sink::Plain(capped) => capped.write_all(part),
            Sink::Gzip(decoder) => decoder.write_all(part),
        };
        written.map_err(|_| self.failure())
    }

    fn failure(&self) -> Failure {
        let capped = self.capped();
        if capped.over { failure::too_big("body", capped.limit) } else { damaged() }
    }

    fn finish(self) -> Result<Vec<u8>, Failure> {
        match self {
            Sink::Plain(mut capped) => Ok(capped.joined()),
            Sink::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(decoder.get_mut().joined()),
                Err(_) if decoder.get_ref().over => Err(failure::too_big("body", decoder.get_ref().limit)),
                Err(_) => Err(damaged()),
            },
        }
    }
}

fn damaged() -> Failure {
    let hint = "run again; if it stays so, the provider or something on the way to it is broken";
    Failure::new(ExitCode::Protocol, "the answer's compressed body is damaged", hint)
}

/// The whole body. A permit comes with it where it is large.
pub async fn read(
    response: &mut Response,
    limits: &PullLimits,
    gate: &Arc<Semaphore>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Trouble> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let framed = response.version() >= Version::HTTP_2
        || response.headers().contains_key(CONTENT_LENGTH)
        || header(TRANSFER_ENCODING).to_ascii_lowercase().contains("chunked");
    if !framed {
        // Its end cannot be told from a broken connection.
        let hint = "something between here and the provider changes its answers; check base_url";
        return Err(Failure::new(ExitCode::Protocol, "the answer does not say how long it is", hint).into());
    }
    let capped = Capped::new(limits.page_bytes);
    let mut sink = match header(CONTENT_ENCODING).to_ascii_lowercase().as_str() {
        "" | "identity" => Sink::Plain(capped),
        "gzip" | "x-gzip" => Sink::Gzip(Box::new(MultiGzDecoder::new(capped))),
        _ => {
            let hint = "only gzip was asked for: check base_url";
            return Err(Failure::new(ExitCode::Protocol, "the answer is compressed in an unknown way", hint).into());
        }
    };
    if response.content_length().is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(failure::too_big("body", limits.body_bytes).into());
    }
    let (mut came, mut permit) = (0, None);
    while let Some(part) = response.chunk().await.map_err(|error| failure::of_error(&error))? {
        came += part.len();
        if came > limits.body_bytes {
            return Err(failure::too_big("body", limits.body_bytes).into());
        }
        sink.write(&part)?;
        if permit.is_none() && sink.capped().length > LARGE {
            permit = gate.clone().acquire_owned().await.ok();
        }
    }
    Ok((sink.finish()?, permit))
}

/// The beginning of an error's body on one line, without secrets and control characters.
pub async fn excerpt(response: &mut Response) -> String {
    let mut bytes = Vec::new();
    // One part is enough, and it is not waited for long: the status has said the main thing.
    let part = tokio::time::timeout(std::time::Duration::from_secs(2), response.chunk()).await;
    if let Ok(Ok(Some(part))) = part {
        bytes.extend(part.iter().take(4 * EXCERPT));
    }
    shown(&bytes)
}

/// At most 200 bytes of what came, on one line, escaped, without secrets.
pub fn shown(bytes: &[u8]) -> String {
    // Redacted before it is cut: half a key is no longer known as one.
    let text = redact(&String::from_utf8_lossy(bytes.get(..bytes.len().min(4 * EXCERPT)).unwrap_or_default()));
    let escaped: String = text.split_whitespace().collect::<Vec<_>>().join(" ").escape_debug().collect();
    let mut end = escaped.len().min(EXCERPT);
    while !escaped.is_char_boundary(end) {
        end -= 1;
    }
    escaped.get(..end).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn sink(limit: usize) -> Sink {
        Sink::Gzip(Box::new(MultiGzDecoder::new(Capped::new(limit))))
    }

    #[test]
    fn a_bomb_is_cut_at_the_cap_and_damage_is_told() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; 3 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 8192);
        let mut good = sink(4 << 20);
        bomb.chunks(100).for_each(|part| good.write(part).unwrap());
        assert_eq!(good.finish().unwrap().len(), 3 << 20);
        let mut small = sink(1 << 20);
        let failure = bomb.chunks(100).find_map(|part| small.write(part).err()).unwrap();
        assert!(failure.what.contains("larger than 1048576 bytes"), "{failure:?}");
        assert!(small.capped().length <= 1 << 20);
        let mut cut = sink(4 << 20);
        cut.write(&bomb[..bomb.len() - 9]).unwrap();
        assert!(cut.finish().unwrap_err().what.contains("damaged"));
        assert!(sink(10).write(b"no gzip at all").unwrap_err().what.contains("damaged"));
    }

    #[test]
    fn an_excerpt_is_short_and_harmless() {
        let said = shown("<html>\n\u{1b}[31m  sk-proj-abcdefghijklmnop123 é".repeat(40).as_bytes());
        assert!(said.len() <= 200 && said.starts_with("<html> \\u{1b}[31m [redacted] é"), "{said}");
    }
}

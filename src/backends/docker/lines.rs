//! Lines out of what Docker sends of a log: unframed, cleaned of what a terminal would obey, and cut where they are long.

use crate::error::{Error, Kind, Result};

/// The longest line.
pub(super) const LINE_MAX: usize = 8 * 1024;
/// The longest frame that is believed. Docker's own are up to 16 KiB, its plugins' up to 1 MiB.
const FRAME_MAX: usize = 4 * 1024 * 1024;
const HEADER: usize = 8;

/// Reads one container's log as it comes. Both of its streams may be in the middle of a line at once.
#[derive(Debug)]
pub(super) struct Reader {
    /// With a terminal there are no frames.
    framed: bool,
    header: Vec<u8>,
    left: usize,
    stream: usize,
    partial: [Partial; 2],
    /// Whether a line was longer than [`LINE_MAX`].
    pub(super) cut: bool,
}

#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    begun: bool,
}

impl Reader {
    pub(super) fn new(has_terminal: bool) -> Self {
        Self {
            framed: !has_terminal,
            header: Vec::with_capacity(HEADER),
            left: 0,
            stream: 0,
            partial: Default::default(),
            cut: false,
        }
    }

    /// Takes what came, and gives the lines that it ended.
    ///
    /// # Errors
    /// When a frame's header is none (Engine API, `ContainerAttach`, stream format).
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) -> Result<()> {
        if !self.framed {
            self.take(0, bytes, &mut line);
            return Ok(());
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let missing = (HEADER - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if self.header.len() == HEADER {
                    self.open_frame()?;
                }
                continue;
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= payload.len();
            self.take(self.stream, payload, &mut line);
            bytes = rest;
        }
        Ok(())
    }

    fn open_frame(&mut self) -> Result<()> {
        let header = std::mem::take(&mut self.header);
        let length = header[4..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if header[0] > 2 || header[1..4] != [0, 0, 0] || length > FRAME_MAX {
            return Err(nonsense("a frame's header is none"));
        }
        self.stream = usize::from(header[0] == 2);
        self.left = length;
        Ok(())
    }

    fn take(&mut self, stream: usize, bytes: &[u8], line: &mut impl FnMut(String)) {
        let partial = &mut self.partial[stream];
        for byte in bytes {
            if *byte == b'\n' {
                line(cleaned(&partial.bytes));
                partial.bytes.clear();
                partial.begun = false;
            } else {
                partial.begun = true;
                if partial.bytes.len() < LINE_MAX {
                    partial.bytes.push(*byte);
                } else {
                    self.cut = true;
                }
            }
        }
    }

    /// Gives what was not ended by a line break.
    ///
    /// # Errors
    /// When a frame promised more than came.
    pub(super) fn end(mut self, mut line: impl FnMut(String)) -> Result<bool> {
        if self.left > 0 || !self.header.is_empty() {
            return Err(nonsense("a frame is shorter than its header says"));
        }
        for partial in &mut self.partial {
            if partial.begun {
                line(cleaned(&partial.bytes));
            }
        }
        Ok(self.cut)
    }
}

fn nonsense(what: &'static str) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'docker' did not send the log as its API does; check that the connection's url is the Docker itself",
    )
    .because(what)
}

/// A line as text: without escape sequences (ECMA-48), other control characters, and marks that turn the direction of writing.
fn cleaned(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => match letters.next() {
                // A control sequence ends with a letter, or one of @[\]^_`{|}~.
                Some('[') => {
                    letters.by_ref().find(|next| ('@'..='~').contains(next));
                }
                // A string (a title, a link) ends with BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(next) = letters.next() {
                        if next == '\u{7}' || next == '\u{1b}' && letters.next_if_eq(&'\\').is_some() {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\t' => clean.push('\t'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {}
            letter if letter.is_control() => {}
            letter => clean.push(letter),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn lines(reader: &mut Reader, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        reader.feed(bytes, |line| lines.push(line)).unwrap();
        lines
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let bytes = [frame(1, b"one\ntw"), frame(2, b"err\n"), frame(1, b"o\nend")].concat();
        for size in 1..bytes.len() {
            let mut reader = Reader::new(false);
            let mut seen: Vec<String> = bytes.chunks(size).flat_map(|chunk| lines(&mut reader, chunk)).collect();
            assert!(!reader.end(|line| seen.push(line)).unwrap());
            assert_eq!(seen, ["one", "err", "two", "end"], "{size}");
        }
    }

    #[test]
    fn a_header_that_lies_is_an_error_and_not_a_lost_log() {
        let mut reader = Reader::new(false);
        let mut long = frame(1, b"one\n");
        long[7] = 200;
        reader.feed(&long, |_| {}).unwrap();
        assert_eq!(reader.end(|_| {}).unwrap_err().kind(), Kind::BackendRefused);
        for bad in [[1, 0, 0, 0, 255, 255, 255, 255], [7, 0, 0, 0, 0, 0, 0, 1], *b"one\ntwo\n"] {
            let error = Reader::new(false).feed(&bad, |_| {}).unwrap_err();
            assert_eq!(error.kind(), Kind::BackendRefused, "{bad:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_said_to_be() {
        let mut reader = Reader::new(true);
        let seen = lines(&mut reader, &[vec![b'x'; 3 * LINE_MAX], b"\nshort\n".to_vec()].concat());
        assert_eq!((seen[0].len(), seen[1].as_str(), reader.cut), (LINE_MAX, "short", true));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (raw, clean) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("a\u{8}b\u{7}\r", "ab"),
            ("a\tb\u{9b}c", "a\tbc"),
            ("ab\u{202e}cd", "abcd"),
            ("\u{1b}[", ""),
            ("\u{1b}", ""),
            ("über ñ 漢", "über ñ 漢"),
        ] {
            assert_eq!(cleaned(raw.as_bytes()), clean, "{raw:?}");
        }
        assert_eq!(cleaned(b"a\xffb"), "a\u{fffd}b");
    }
}

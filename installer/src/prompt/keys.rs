//! Keys from bytes. A terminal on a serial line sends the bytes of one key with gaps between them, so a lone Esc is told
//! from the beginning of an arrow key by waiting a little, never by what happens to lie in the buffer.

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios},
};
use std::{
    collections::VecDeque,
    io::{self, PipeReader, PipeWriter},
    time::Duration,
};
use tokio::sync::mpsc;

/// How long after an Esc the rest of a key's bytes may still come. At 9,600 baud a byte takes 1 ms; a slow line with a
/// console server in between stays well below this.
const ESCAPE_GAP: Duration = Duration::from_millis(120);

/// A key that a person pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Back: Esc or Ctrl-B.
    Back,
    /// Leave: Ctrl-C or Ctrl-D.
    Quit,
    /// Arrow up, or Ctrl-P.
    Up,
    /// Arrow down, or Ctrl-N.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// First place.
    Home,
    /// Last place.
    End,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// Removes the character before the cursor.
    Backspace,
    /// Removes the character under the cursor.
    Delete,
    /// Removes everything (Ctrl-U).
    Clear,
    /// Removes the word before the cursor (Ctrl-W).
    ClearWord,
    /// Tab.
    Tab,
}

/// Turns bytes into keys.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes one byte; answers the key it completes.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        self.pending.push(byte);
        let key = match self.pending.as_slice() {
            [0x1b] | [0x1b, b'[' | b'O'] => return None,
            // A control sequence ends with its first byte from @ to ~; the digits before it are its parameters.
            [0x1b, b'[' | b'O', rest @ ..] => {
                if !rest.last().is_some_and(|last| (0x40..=0x7e).contains(last)) && rest.len() < 12 {
                    return None;
                }
                sequence(rest)
            }
            [0x1b, 0x1b] => Some(Key::Back),
            // Alt with a key: as if the key came alone.
            [0x1b, other] => plain(*other),
            [first, ..] if *first >= 0x80 => {
                let wanted = match *first {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf7 => 4,
                    _ => 1,
                };
                if self.pending.len() < wanted {
                    return None;
                }
                std::str::from_utf8(&self.pending).ok().and_then(|text| text.chars().next()).map(Key::Char)
            }
            [byte] => plain(*byte),
            _ => None,
        };
        self.pending.clear();
        key
    }

    /// Whether more bytes of the same key may follow.
    #[must_use]
    pub fn is_within_a_key(&self) -> bool {
        !self.pending.is_empty()
    }

    /// No more bytes came: a lone Esc is Back, anything else that is incomplete is dropped.
    pub fn gap(&mut self) -> Option<Key> {
        let key = (self.pending == [0x1b]).then_some(Key::Back);
        self.pending.clear();
        key
    }
}

fn plain(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        0x7f | 0x08 => Key::Backspace,
        b'\t' => Key::Tab,
        0x01 => Key::Home,
        0x02 => Key::Back,
        0x03 | 0x04 => Key::Quit,
        0x05 => Key::End,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::Clear,
        0x17 => Key::ClearWord,
        byte if byte.is_ascii_graphic() || byte == b' ' => Key::Char(char::from(byte)),
        _ => return None,
    })
}

fn sequence(rest: &[u8]) -> Option<Key> {
    Some(match rest {
        [.., b'A'] => Key::Up,
        [.., b'B'] => Key::Down,
        [.., b'C'] => Key::Right,
        [.., b'D'] => Key::Left,
        [.., b'H'] | [b'1' | b'7', b'~'] => Key::Home,
        [.., b'F'] | [b'4' | b'8', b'~'] => Key::End,
        [b'3', b'~'] => Key::Delete,
        [b'5', b'~'] => Key::PageUp,
        [b'6', b'~'] => Key::PageDown,
        _ => return None,
    })
}

/// How many reads may lie unprocessed; a paste beyond that waits in the terminal.
const READS_AHEAD: usize = 16;

/// The keyboard of the process's terminal. While it lives, characters are neither echoed nor kept back until Enter;
/// dropping it puts the terminal back as it was.
#[derive(Debug)]
pub struct Keyboard {
    bytes: mpsc::Receiver<io::Result<Vec<u8>>>,
    before: Termios,
    decoder: Decoder,
    ready: VecDeque<Key>,
    /// Closed when the keyboard is dropped, which ends the reader.
    _stop: PipeWriter,
    _reader: tokio::task::JoinHandle<()>,
}

impl Keyboard {
    /// Takes the keyboard.
    ///
    /// # Errors
    /// Standard input is not a terminal.
    pub fn take() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        let (stopped, stop) = io::pipe()?;
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        let (sender, bytes) = mpsc::channel(READS_AHEAD);
        let reader = tokio::task::spawn_blocking(move || read_until_stopped(&stopped, &sender));
        Ok(Self { bytes, before, decoder: Decoder::default(), ready: VecDeque::new(), _stop: stop, _reader: reader })
    }

    /// The next key. Safe to drop while it waits.
    ///
    /// # Errors
    /// The terminal is gone.
    pub async fn key(&mut self) -> io::Result<Key> {
        loop {
            if let Some(key) = self.ready.pop_front() {
                return Ok(key);
            }
            let bytes = if self.decoder.is_within_a_key() {
                match tokio::time::timeout(ESCAPE_GAP, self.bytes.recv()).await {
                    Ok(bytes) => bytes,
                    Err(_) => {
                        self.ready.extend(self.decoder.gap());
                        continue;
                    }
                }
            } else {
                self.bytes.recv().await
            };
            let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal was closed");
            for byte in bytes.unwrap_or_else(|| Err(closed()))? {
                self.ready.extend(self.decoder.feed(byte));
            }
        }
    }

    /// Whether another key lies ready, so that a pasted text is drawn once and not character by character.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }
}

/// Reads the terminal until the other end of `stopped` is closed. Never reads without knowing that something is there,
/// so that nothing that is typed after the questions is swallowed.
fn read_until_stopped(stopped: &PipeReader, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let stdin = io::stdin();
    loop {
        let mut watched = [PollFd::new(stopped, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            Err(error) => {
                let _ = sender.blocking_send(Err(error.into()));
                return;
            }
            Ok(_) => {}
        }
        if !watched[0].revents().is_empty() {
            return;
        }
        let mut buffer = [0_u8; 256];
        let read = match rustix::io::read(&stdin, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => Err(error.into()),
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal was closed")),
            Ok(count) => Ok(buffer[..count].to_vec()),
        };
        let ended = read.is_err();
        // The questions are over where nobody receives.
        if sender.blocking_send(read).is_err() || ended {
            return;
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // Nothing sensible can be done where the terminal is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys: Vec<_> = bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect();
        keys.extend(decoder.gap());
        keys
    }

    #[test]
    fn arrows_are_known_in_both_modes_and_with_modifiers() {
        assert_eq!(keys(b"\x1b[A\x1b[B\x1bOA\x1b[1;5C"), [Key::Up, Key::Down, Key::Up, Key::Right]);
    }

    #[test]
    fn a_lone_escape_is_back_only_after_a_gap() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(0x1b), None);
        assert!(decoder.is_within_a_key());
        assert_eq!(decoder.gap(), Some(Key::Back));
        assert!(!decoder.is_within_a_key());
    }

    #[test]
    fn an_unknown_sequence_leaves_nothing_behind() {
        assert_eq!(keys(b"\x1b[200~a\x1b[15~b"), [Key::Char('a'), Key::Char('b')]);
    }

    #[test]
    fn characters_of_several_bytes_arrive_whole() {
        assert_eq!(keys("é✔x".as_bytes()), [Key::Char('é'), Key::Char('✔'), Key::Char('x')]);
    }
}

//! A decoded text in which each byte has its range of the original text.

use std::ops::Range;

/// Invisible characters that are neither white space nor control characters, so that only a human reader skips them.
const INVISIBLE: [char; 8] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{200e}', '\u{200f}', '\u{feff}',
];

/// The range of the original text from which a byte was decoded.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    start: u32,
    end: u32,
    /// Whether blanks were removed before it.
    has_gap_before: bool,
}

/// A decoded text.
#[derive(Default)]
pub(super) struct View {
    bytes: Vec<u8>,
    origins: Vec<Origin>,
}

impl View {
    /// Creates the view of a text that is not decoded.
    pub(super) fn new(text: &str) -> Self {
        let mut view = Self::with_capacity(text.len());
        for (start, c) in text.char_indices() {
            let end = start + c.len_utf8();
            let origin = Origin {
                start: to_u32(start),
                end: to_u32(end),
                has_gap_before: false,
            };
            view.push(&text.as_bytes()[start..end], origin);
        }
        view
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            origins: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes that were decoded from one range.
    pub(super) fn push(&mut self, bytes: &[u8], origin: Origin) {
        self.bytes.extend_from_slice(bytes);
        self.origins.resize(self.bytes.len(), origin);
    }

    /// Appends a part of another view.
    pub(super) fn append(&mut self, other: &Self, range: Range<usize>) {
        self.bytes.extend_from_slice(&other.bytes[range.clone()]);
        self.origins.extend_from_slice(&other.origins[range]);
    }

    /// Returns the origin of a range of bytes, which must not be empty.
    pub(super) fn origin(&self, range: Range<usize>) -> Origin {
        Origin {
            end: self.origins[range.end - 1].end,
            ..self.origins[range.start]
        }
    }

    /// Returns the range of the original text from which these bytes were decoded.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let Origin { start, end, .. } = self.origin(range);
        start as usize..end as usize
    }

    /// Returns whether blanks were removed before this byte.
    pub(super) fn has_gap_before(&self, index: usize) -> bool {
        self.origins[index].has_gap_before
    }

    /// Returns the view without blanks; `None` if it has none.
    pub(super) fn without_blanks(&self) -> Option<Self> {
        let mut compact = Self::with_capacity(self.len());
        let mut from = 0;
        for (at, c) in self.characters().filter(|(_, c)| is_blank(*c)) {
            compact.append_after_gap(self, from..at);
            from = at + c.len_utf8();
        }
        if from == 0 {
            return None;
        }
        compact.append_after_gap(self, from..self.len());
        Some(compact)
    }

    fn append_after_gap(&mut self, other: &Self, range: Range<usize>) {
        let start = self.len();
        self.append(other, range.clone());
        if let Some(origin) = self.origins.get_mut(start) {
            origin.has_gap_before |= range.start > 0;
        }
    }

    /// Returns the view without backslashes; `None` if it has none. A backslash becomes part of the origin of the next
    /// byte.
    pub(super) fn without_backslashes(&self) -> Option<Self> {
        let mut rest = Self::with_capacity(self.len());
        let mut start = 0;
        for (at, byte) in self.bytes.iter().enumerate().filter(|(_, byte)| **byte != b'\\') {
            rest.push(&[*byte], self.origin(start..at + 1));
            start = at + 1;
        }
        (rest.len() < self.len()).then_some(rest)
    }

    /// Returns the characters with their indices, without invalid UTF-8.
    fn characters(&self) -> impl Iterator<Item = (usize, char)> {
        let mut start = 0;
        self.bytes.utf8_chunks().flat_map(move |chunk| {
            let chunk_start = start;
            start += chunk.valid().len() + chunk.invalid().len();
            let characters = chunk.valid().char_indices();
            characters.map(move |(at, c)| (chunk_start + at, c))
        })
    }
}

/// Converts an index. Texts are much shorter than `u32::MAX`, and half the size halves the cost of copying a view.
fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn is_blank(c: char) -> bool {
    if c.is_ascii() {
        return c <= ' ' || c == '\u{7f}';
    }
    c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c)
}

//! A text after some steps of decoding, in which each byte has its place in the text that was decoded first.

use std::ops::Range;

/// Characters that are not seen and that nothing but a reader's eye skips, besides white space and control characters.
const INVISIBLE: [char; 8] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{200e}', '\u{200f}', '\u{feff}',
];

/// The range of the original text that a byte was decoded from.
#[derive(Clone, Copy)]
pub(super) struct Place {
    start: u32,
    end: u32,
    /// Whether blanks were left out before it.
    has_gap_before: bool,
}

/// A decoded text.
#[derive(Default)]
pub(super) struct View {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl View {
    /// The text itself.
    pub(super) fn new(text: &str) -> Self {
        let mut view = Self::with_capacity(text.len());
        for (start, c) in text.char_indices() {
            let end = start + c.len_utf8();
            let place = Place {
                start: to_u32(start),
                end: to_u32(end),
                has_gap_before: false,
            };
            view.push(&text.as_bytes()[start..end], place);
        }
        view
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes that were decoded from one place.
    pub(super) fn push(&mut self, bytes: &[u8], place: Place) {
        self.bytes.extend_from_slice(bytes);
        self.places.resize(self.bytes.len(), place);
    }

    /// Appends a part of another view.
    pub(super) fn append(&mut self, other: &Self, range: Range<usize>) {
        self.bytes.extend_from_slice(&other.bytes[range.clone()]);
        self.places.extend_from_slice(&other.places[range]);
    }

    /// The place of several bytes, of which there is at least one.
    pub(super) fn place(&self, range: Range<usize>) -> Place {
        Place {
            end: self.places[range.end - 1].end,
            ..self.places[range.start]
        }
    }

    /// The range of the original text that these bytes were decoded from.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let Place { start, end, .. } = self.place(range);
        start as usize..end as usize
    }

    /// Whether blanks were left out before this byte.
    pub(super) fn has_gap_before(&self, index: usize) -> bool {
        self.places[index].has_gap_before
    }

    /// The same without blanks; `None` if there are none.
    pub(super) fn without_blanks(&self) -> Option<Self> {
        let mut ink = Self::with_capacity(self.len());
        let mut from = 0;
        for (at, c) in self.characters().filter(|(_, c)| is_blank(*c)) {
            ink.append_after_gap(self, from..at);
            from = at + c.len_utf8();
        }
        if from == 0 {
            return None;
        }
        ink.append_after_gap(self, from..self.len());
        Some(ink)
    }

    fn append_after_gap(&mut self, other: &Self, range: Range<usize>) {
        let start = self.len();
        self.append(other, range.clone());
        if let Some(place) = self.places.get_mut(start) {
            place.has_gap_before |= range.start > 0;
        }
    }

    /// The same without backslashes, each of which belongs to the character behind it; `None` if there are none.
    pub(super) fn without_backslashes(&self) -> Option<Self> {
        let mut rest = Self::with_capacity(self.len());
        let mut start = 0;
        for (at, byte) in self.bytes.iter().enumerate().filter(|(_, byte)| **byte != b'\\') {
            rest.push(&[*byte], self.place(start..at + 1));
            start = at + 1;
        }
        (rest.len() < self.len()).then_some(rest)
    }

    /// The characters with their indices; what is not UTF-8 is left out.
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

/// Texts are far shorter: it halves what is copied and overwritten for each view.
fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn is_blank(c: char) -> bool {
    if c.is_ascii() {
        return c <= ' ' || c == '\u{7f}';
    }
    c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c)
}

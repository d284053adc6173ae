//! Finds secrets in a view, and parts of secrets with at least eight characters.
//!
//! A response may repeat only a part of a secret, at any offset. A view is therefore searched for every window of eight
//! characters of every secret, without regard to case.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::decoding::for_each_secret_view;
use super::view::View;
use crate::token::Secret;

/// The number of characters by which a secret is recognized. Shorter secrets are not searched for, because they would
/// match ordinary words.
const WINDOW: usize = 8;

/// An index of the windows of all secrets.
pub(super) struct SecretIndex {
    windows: WindowSet,
    /// The windows of secrets with blanks, without plus signs: in a form, a plus sign stands for a blank.
    form_windows: WindowSet,
}

impl SecretIndex {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let (mut windows, mut form_windows) = (Vec::new(), Vec::new());
        for secret in secrets.iter().map(Secret::expose_secret) {
            if secret
                .chars()
                .filter(|c| !c.is_whitespace() && !c.is_control())
                .count()
                < WINDOW
            {
                continue;
            }
            let view = || View::new(secret);
            // Decoding the text also decodes a secret that contains a percent sign or a backslash.
            for_each_secret_view(view(), |view| {
                windows.extend(windows_of(view.bytes()));
            });
            // Base64 that was converted to lower case cannot be decoded, so the encoded secret is searched for as well.
            for offset in 0..3 {
                windows.extend(windows_of(aligned_base64(secret, offset).as_bytes()));
            }
            if let Some(compact) = view().without_blanks() {
                form_windows.extend(windows_of(&without_plus(compact.bytes())));
            }
        }
        Self {
            windows: WindowSet::new(windows),
            form_windows: WindowSet::new(form_windows),
        }
    }

    /// Returns the ranges of the original text that contain a part of a secret. The view must have no blanks.
    pub(super) fn find_all(&self, view: &View) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.windows.find_all(view, |_| true, &mut found);
        self.form_windows.find_all(view, |byte| byte != b'+', &mut found);
        found
    }
}

fn without_plus(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| fold(*byte) != b'+').collect()
}

/// Returns every window of eight folded bytes.
fn windows_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes
        .iter()
        .scan(0, |window, byte| {
            *window = slide(*window, *byte);
            Some(*window)
        })
        .skip(WINDOW - 1)
}

fn slide(window: u64, byte: u8) -> u64 {
    window << 8 | u64::from(fold(byte))
}

/// Maps upper case to lower case, and base64url to base64.
fn fold(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        _ => byte.to_ascii_lowercase(),
    }
}

/// Returns base64 of a secret that follows `offset` other bytes (modulo 3): the characters that depend only on the secret.
fn aligned_base64(secret: &str, offset: usize) -> Zeroizing<String> {
    let bytes = Zeroizing::new([&b"\0\0"[..offset], secret.as_bytes()].concat());
    let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes)[from..to].to_owned())
}

/// A set of windows.
struct WindowSet {
    sorted: Vec<u64>,
    /// A Bloom filter with one hash: rejects almost every window of ordinary text without a search.
    filter: Vec<u64>,
}

impl WindowSet {
    const FILTER_BITS: u32 = 16;

    fn new(mut windows: Vec<u64>) -> Self {
        windows.sort_unstable();
        windows.dedup();
        let mut filter = Vec::new();
        if !windows.is_empty() {
            filter.resize(1 << (Self::FILTER_BITS - u64::BITS.trailing_zeros()), 0);
        }
        for window in &windows {
            let (word, bit) = Self::hash(*window);
            filter[word] |= bit;
        }
        Self {
            sorted: windows,
            filter,
        }
    }

    fn hash(window: u64) -> (usize, u64) {
        let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - Self::FILTER_BITS);
        let word = usize::try_from(hash / u64::from(u64::BITS)).unwrap_or_default();
        (word, 1 << (hash % u64::from(u64::BITS)))
    }

    fn contains(&self, window: u64) -> bool {
        let (word, bit) = Self::hash(window);
        self.filter[word] & bit != 0 && self.sorted.binary_search(&window).is_ok()
    }

    /// Searches the bytes of a view that `is_searched` selects (after folding).
    fn find_all(&self, view: &View, is_searched: impl Fn(u8) -> bool, found: &mut Vec<Range<usize>>) {
        if self.sorted.is_empty() {
            return;
        }
        let mut window = 0;
        // The indices of the last selected bytes.
        let mut indices = [0; WINDOW];
        let mut count = 0;
        for (at, byte) in view.bytes().iter().enumerate() {
            if !is_searched(fold(*byte)) {
                continue;
            }
            window = slide(window, *byte);
            indices[count % WINDOW] = at;
            count += 1;
            if count >= WINDOW && self.contains(window) {
                found.push(view.source(indices[count % WINDOW]..at + 1));
            }
        }
    }
}

//! Finds secrets in a view: eight characters of a secret in a row are enough.
//!
//! A response may repeat only a part of a secret, and what was cut off does not help to recognise the rest. So a view
//! is searched for every eight characters of every secret, in any case of letters.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::decoding::for_each_secret_view;
use super::view::View;
use crate::token::Secret;

/// How many characters of a secret are recognised. Words are often shorter, so that a secret which is shorter itself is
/// not searched for: it would take ordinary words out of every message.
const WINDOW: usize = 8;

/// The windows of several secrets.
pub(super) struct SecretIndex {
    windows: WindowSet,
    /// The windows of secrets that have blanks, without plus signs: a form has a plus sign for each blank.
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
            // What a secret becomes if it is decoded itself: it may hold a percent sign or a backslash.
            for_each_secret_view(view(), |view| {
                windows.extend(windows_of(view.bytes()));
            });
            // An encoder's letters may have been changed to lower case, and cannot be decoded then.
            for offset in 0..3 {
                windows.extend(windows_of(aligned_base64(secret, offset).as_bytes()));
            }
            if let Some(ink) = view().without_blanks() {
                form_windows.extend(windows_of(&without_plus(ink.bytes())));
            }
        }
        Self {
            windows: WindowSet::new(windows),
            form_windows: WindowSet::new(form_windows),
        }
    }

    /// The ranges of the original text that hold a part of a secret. The view has no blanks.
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

/// Every eight bytes in a row, folded.
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

/// Makes letters of either case, and base64 and base64url, the same.
fn fold(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        _ => byte.to_ascii_lowercase(),
    }
}

/// What base64 makes of a secret that is preceded by so many bytes, modulo 3: the characters that depend on nothing but
/// the secret.
fn aligned_base64(secret: &str, offset: usize) -> Zeroizing<String> {
    let bytes = Zeroizing::new([&b"\0\0"[..offset], secret.as_bytes()].concat());
    let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes)[from..to].to_owned())
}

/// A set of windows.
struct WindowSet {
    sorted: Vec<u64>,
    /// One bit for each hash of a window: almost every window of an ordinary text is told by it.
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

    /// Searches those bytes of a view that, folded, are wanted.
    fn find_all(&self, view: &View, is_wanted: impl Fn(u8) -> bool, found: &mut Vec<Range<usize>>) {
        if self.sorted.is_empty() {
            return;
        }
        let mut window = 0;
        // The indices of the last bytes that are wanted.
        let mut indices = [0; WINDOW];
        let mut count = 0;
        for (at, byte) in view.bytes().iter().enumerate() {
            if !is_wanted(fold(*byte)) {
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

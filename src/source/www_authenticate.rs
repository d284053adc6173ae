//! The challenges of a response: `WWW-Authenticate`, by [RFC 9110, 11.6.1].
//!
//! Several header lines are one list, and a comma ends both a challenge and a parameter, so that only what follows it tells
//! which. Beyond the grammar a value may be a bare path, as Azure Arc's agent sends it, and only `\"` and `\\` are escapes
//! in a quoted string: an agent on Windows that quotes its path without escapes means what it says.
//!
//! [RFC 9110, 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1

/// A challenge: its scheme, and its parameters in their order.
pub(super) struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Challenge<'_> {
    /// Whether it is of this scheme, in any case.
    pub(super) fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first parameter of this name, in any case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self
            .parameters
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }
}

/// The challenges of all header lines. What is not understood is left out.
pub(super) fn parse_challenges(lines: &[String]) -> Vec<Challenge<'_>> {
    let mut challenges: Vec<Challenge<'_>> = Vec::new();
    for element in lines.iter().flat_map(|line| elements(line)) {
        let (word, rest) = split_token(element);
        if let Some(value) = rest.trim_start().strip_prefix('=') {
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.extend(parse_parameter(word, value));
            }
            continue;
        }
        // A scheme, alone or with a blank between it and its first parameter, or its token68.
        let is_scheme = !word.is_empty() && (rest.is_empty() || rest.starts_with(BLANK));
        let mut challenge = Challenge {
            scheme: if is_scheme { word } else { "" },
            parameters: Vec::new(),
        };
        let rest = rest.trim_matches(BLANK);
        if is_scheme && !is_token68(rest) {
            let (name, rest) = split_token(rest);
            let value = rest.trim_start_matches(BLANK).strip_prefix('=');
            challenge
                .parameters
                .extend(value.and_then(|value| parse_parameter(name, value)));
        }
        challenges.push(challenge);
    }
    challenges
}

const BLANK: [char; 2] = [' ', '\t'];

/// The elements of a list: what stands between its commas, except those in quoted strings.
fn elements(line: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let elements = line.split(|c| {
        let ends = c == ',' && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = is_quoted && c == '\\' && !is_escaped;
        ends
    });
    elements
        .map(|element| element.trim_matches(BLANK))
        .filter(|element| !element.is_empty())
        .collect()
}

/// The token at the front of a text, and what follows it.
fn split_token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// Whether it is what schemes such as Negotiate have in place of parameters.
fn is_token68(text: &str) -> bool {
    let unpadded = text.trim_end_matches('=');
    !unpadded.is_empty()
        && unpadded
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
}

/// A parameter with its value: a quoted string, or whatever else has no quotation mark.
fn parse_parameter<'a>(name: &'a str, value: &str) -> Option<(&'a str, String)> {
    let value = value.trim_matches(BLANK);
    let value = match value.strip_prefix('"') {
        Some(quoted) => unescape_quoted(quoted)?,
        None if value.contains('"') => return None,
        None => value.to_owned(),
    };
    (!name.is_empty()).then_some((name, value))
}

/// A quoted string without its quotation marks and escapes; `None` if it does not end where the text does.
fn unescape_quoted(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' if rest.as_str().starts_with(['"', '\\']) => value.extend(rest.next()),
            other => value.push(other),
        }
    }
    rest.as_str().is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme and parameters of each challenge, in a line.
    fn read(lines: &[&str]) -> Vec<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let shown = |challenge: &Challenge<'_>| {
            let parameters = challenge
                .parameters
                .iter()
                .map(|(name, value)| format!(" {name}[{value}]"));
            format!("{}{}", challenge.scheme, parameters.collect::<String>())
        };
        parse_challenges(&lines).iter().map(shown).collect()
    }

    #[test]
    fn challenges_of_all_lines_and_elements_are_parsed() {
        for (lines, expected) in [
            (&["Basic realm=/a.key"][..], &["Basic realm[/a.key]"][..]),
            (
                &["Negotiate", "Basic realm=\"/a.key\""],
                &["Negotiate", "Basic realm[/a.key]"],
            ),
            (
                &["Negotiate, Basic realm=/a.key"],
                &["Negotiate", "Basic realm[/a.key]"],
            ),
            (
                &["Negotiate xyz=, Basic realm=/a.key"],
                &["Negotiate", "Basic realm[/a.key]"],
            ),
            (
                &["Basic realm=/a.key, charset=\"UTF-8\", NTLM"],
                &["Basic realm[/a.key] charset[UTF-8]", "NTLM"],
            ),
            (
                &["Basic charset=\"UTF-8\" , realm = \"/a.key\""],
                &["Basic charset[UTF-8] realm[/a.key]"],
            ),
            // Two lines are one list.
            (
                &["Basic charset=UTF-8", "realm=/a.key"],
                &["Basic charset[UTF-8] realm[/a.key]"],
            ),
            (
                &[r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#],
                &[
                    r#"Newauth realm[apps] type[1] title[Login to "apps"]"#,
                    "Basic realm[simple]",
                ],
            ),
            (
                &[r#"Bearer x="a, Basic realm=b", Basic realm=c"#],
                &["Bearer x[a, Basic realm=b]", "Basic realm[c]"],
            ),
            (
                &[r#"Digest x="say \", Basic realm=b", Basic realm=c"#],
                &[r#"Digest x[say ", Basic realm=b]"#, "Basic realm[c]"],
            ),
            (
                &[r#"Basic realm="C:\\Keys\\a.key""#],
                &[r"Basic realm[C:\Keys\a.key]"],
            ),
            (
                &[r#"Basic realm="C:\Keys\a.key""#],
                &[r"Basic realm[C:\Keys\a.key]"],
            ),
            (&[r"Basic realm=C:\Keys\a.key"], &[r"Basic realm[C:\Keys\a.key]"]),
            (&[" ,, Basic\trealm=a ,"], &["Basic realm[a]"]),
            (&["Basic realm=", "Basic realm=\"\""], &["Basic", "Basic realm[]"]),
            (&["realm=/a.key"], &[]),
            (&["", " "], &[]),
        ] {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn malformed_parameter_is_ignored() {
        for (line, expected) in [
            ("Basic realm=\"/a.key", "Basic"),
            ("Basic realm=\"/a.key\" x", "Basic"),
            ("Basic realm=/a\".key", "Basic"),
            ("Basic realm=\"a\\\"", "Basic"),
            ("Basic =/a.key", " "),
            ("Basic/x realm=/a.key", ""),
            ("\"Basic\" realm=/a.key", ""),
            ("Basic", "Basic"),
            ("Basic /a.key", "Basic"),
            ("Basic ü=a", "Basic"),
        ] {
            assert_eq!(read(&[line]).concat(), expected.trim(), "{line:?}");
        }
        // What follows belongs to no challenge that is understood.
        assert_eq!(
            read(&["Basic realm=a, @, realm=b"]),
            ["Basic realm[a]", " realm[b]"]
        );
    }

    #[test]
    fn names_are_case_insensitive_and_the_first_duplicate_wins() {
        let lines = ["bAsIc x=0, REALM=1, realm=2".to_owned()];
        let challenge = &parse_challenges(&lines)[0];
        assert!(challenge.has_scheme("Basic") && !challenge.has_scheme("Basi"));
        assert_eq!(challenge.parameter("realm"), Some("1"));
        assert_eq!(challenge.parameter("real"), None);
    }
}

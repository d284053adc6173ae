//! The challenges of a response: `WWW-Authenticate`, by [RFC 9110, 11.6.1].
//!
//! All header lines form one list. A comma separates both challenges and parameters, so the text after a comma decides
//! which of them it separates. The parser departs from the grammar in two ways. A value may be a bare path, as Azure Arc's
//! agent sends it. In a quoted string only `\"` and `\\` are escapes, because an agent on Windows may quote a path without
//! escaping its backslashes.
//!
//! [RFC 9110, 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1

/// A challenge: its scheme, and its parameters in the order of the header.
pub(super) struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Challenge<'_> {
    /// Returns whether the challenge has this scheme, compared case-insensitively.
    pub(super) fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// Returns the first parameter with this name, compared case-insensitively.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut matching = self
            .parameters
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        matching.next().map(|(_, value)| value.as_str())
    }
}

/// Parses the challenges of all header lines. Malformed parts are skipped.
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
        // A scheme stands alone, or a blank separates it from its first parameter or its token68.
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

/// Splits a list at its commas, except at those in quoted strings.
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

/// Splits a text after the token (RFC 9110, 5.6.2) that it starts with.
fn split_token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// Returns whether a text is a token68, which schemes such as Negotiate have instead of parameters.
fn is_token68(text: &str) -> bool {
    let unpadded = text.trim_end_matches('=');
    !unpadded.is_empty()
        && unpadded
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
}

/// Parses a parameter whose value is a quoted string or any text without a quotation mark.
fn parse_parameter<'a>(name: &'a str, value: &str) -> Option<(&'a str, String)> {
    let value = value.trim_matches(BLANK);
    let value = match value.strip_prefix('"') {
        Some(quoted) => unescape_quoted(quoted)?,
        None if value.contains('"') => return None,
        None => value.to_owned(),
    };
    (!name.is_empty()).then_some((name, value))
}

/// Removes the closing quotation mark and the escapes of a quoted string; `None` unless the string ends with the text.
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

    /// Formats each challenge as its scheme and its parameters.
    fn format_challenges(lines: &[&str]) -> Vec<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let format = |challenge: &Challenge<'_>| {
            let parameters = challenge
                .parameters
                .iter()
                .map(|(name, value)| format!(" {name}[{value}]"));
            format!("{}{}", challenge.scheme, parameters.collect::<String>())
        };
        parse_challenges(&lines).iter().map(format).collect()
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
            // Two header lines are one list.
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
            assert_eq!(format_challenges(lines), expected, "{lines:?}");
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
            assert_eq!(format_challenges(&[line]).concat(), expected.trim(), "{line:?}");
        }
        // The malformed element starts a challenge without a scheme, to which the next parameter belongs.
        assert_eq!(
            format_challenges(&["Basic realm=a, @, realm=b"]),
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

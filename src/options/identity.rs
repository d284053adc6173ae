//! Which identity a token is for: the host's own, or one that somebody assigned to it.

use crate::error::{Code, Error};
use crate::options::UntypedValue;
use crate::options::resource::is_guid;

/// No Azure id is near this; a longer one would not fit a request line that hosts accept.
const MAX_ID_BYTES: usize = 2_048;

/// What programs write in place of a value that is missing.
const MISSING_VALUES: [&str; 3] = ["undefined", "null", "[object Object]"];
/// Straight and typographic quotation marks.
const QUOTES: &[char] = &[
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}',
    '\u{bb}',
];
/// A resource id has at most some 300 characters; a longer text is not shown as an id.
const MAX_SHOWN_ID: usize = 400;

/// The option of an id whose kind its shape tells.
const EITHER_KIND: &str = "userAssignedId";
/// The start of every resource id.
const SUBSCRIPTIONS: &str = "/subscriptions/";
/// The resource id of a user-assigned identity; what is empty here is a name.
const RESOURCE_ID: [&str; 9] = [
    "",
    "subscriptions",
    "",
    "resourceGroups",
    "",
    "providers",
    "Microsoft.ManagedIdentity",
    "userAssignedIdentities",
    "",
];

/// What a user-assigned identity is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// The client (application) id.
    ClientId,
    /// The Azure resource id.
    ResourceId,
    /// The object (principal) id.
    ObjectId,
}

impl IdKind {
    /// The kind that an id's shape tells: a GUID is taken for a client id.
    fn from_id(id: &str) -> Option<Self> {
        if is_guid(id) {
            Some(Self::ClientId)
        } else if is_resource_id(id) {
            Some(Self::ResourceId)
        } else {
            None
        }
    }

    /// The option that names it.
    pub fn option(self) -> &'static str {
        match self {
            Self::ClientId => "userAssignedClientId",
            Self::ResourceId => "userAssignedResourceId",
            Self::ObjectId => "userAssignedObjectId",
        }
    }
}

/// Returns an id that can be sent, or the error that names where it came from.
///
/// A text that is empty, quoted, padded or the word `undefined` comes from a variable that is unset or misread: it
/// must not become another identity, and the endpoint's own answer would not say what is wrong with it.
pub fn check_id<'a>(name: &str, given: &'a UntypedValue) -> Result<&'a str, Error> {
    let refused = |code, what: &str| Err(Error::new(code, format!("{name} {what}.")));
    let empty = "give the identity's id, or leave it out for the system-assigned identity";
    let id = match given {
        UntypedValue::String(id) => id.as_str(),
        other => return refused(Code::MissingId, &format!("is {}; {empty}", other.type_name())),
    };
    if id.trim_matches(is_blank).is_empty() {
        return refused(Code::MissingId, &format!("is an empty string; {empty}"));
    }
    if id.len() > MAX_ID_BYTES {
        return refused(
            Code::InvalidConfiguration,
            &format!("is longer than the {MAX_ID_BYTES} bytes that an id can have"),
        );
    }
    if let Some(value) = MISSING_VALUES.iter().find(|value| **value == id) {
        return refused(
            Code::InvalidConfiguration,
            &format!("is the text \"{value}\", which stands for a value that is missing; {empty}"),
        );
    }
    for (what, is_padding) in [
        ("white space", is_blank as fn(char) -> bool),
        ("quotation marks", |c| QUOTES.contains(&c)),
    ] {
        if id.starts_with(is_padding) || id.ends_with(is_padding) {
            return refused(
                Code::InvalidConfiguration,
                &format!("has {what} around it; give the id alone"),
            );
        }
    }
    Ok(id)
}

/// White space, control characters, and the characters without width that come along when an id is copied.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

/// Returns an id if it has the form of one: only then may a message show it, since a secret may stand in the wrong
/// variable.
pub fn printable_id(id: &str) -> Option<&str> {
    let is_path = || {
        id.len() <= MAX_SHOWN_ID
            && id
                .get(..SUBSCRIPTIONS.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(SUBSCRIPTIONS))
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.()".contains(&byte))
    };
    (is_guid(id) || is_path()).then_some(id)
}

/// Azure takes the words of an id in any case.
fn is_resource_id(id: &str) -> bool {
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "?#%\\".contains(c))
    };
    let parts: Vec<_> = id.split('/').collect();
    parts.len() == RESOURCE_ID.len()
        && parts
            .iter()
            .zip(RESOURCE_ID)
            .enumerate()
            .all(|(index, (part, word))| match word {
                "" if index > 0 => is_name(part),
                word => part.eq_ignore_ascii_case(word),
            })
}

/// The managed identity to act as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The one that belongs to the host itself.
    SystemAssigned,
    /// One that was assigned to the host, named by one of its ids.
    UserAssigned {
        /// What the id is.
        kind: IdKind,
        /// The id.
        id: String,
    },
}

impl Identity {
    /// Takes what a caller gave for the three kinds of id, and for an id whose kind its shape tells.
    ///
    /// An id that is present but empty is an error: an unset environment variable must not silently
    /// become another identity.
    pub fn parse(given: [(IdKind, &UntypedValue); 3], of_either_kind: &UntypedValue) -> Result<Self, Error> {
        let mut present = given
            .into_iter()
            .map(|(kind, given)| (kind.option(), Some(kind), given))
            .chain([(EITHER_KIND, None, of_either_kind)])
            .filter(|(.., given)| !matches!(given, UntypedValue::Undefined));
        let Some((option, kind, id)) = present.next() else {
            return Ok(Self::SystemAssigned);
        };
        if let Some((other, _, other_id)) = present.next() {
            let empty = [(option, id), (other, other_id)]
                .into_iter()
                .find(|(_, given)| matches!(given, UntypedValue::String(id) if id.trim_matches(is_blank).is_empty()));
            let remedy = match empty {
                Some((option, _)) => format!(".{option} is an empty string; leave it out"),
                None => "name a user-assigned identity by one id only".to_owned(),
            };
            return Err(Error::new(
                Code::InvalidIdType,
                format!("Both managedIdentityIdParams.{option} and .{other} were given; {remedy}."),
            ));
        }
        let name = format!("managedIdentityIdParams.{option}");
        let id = check_id(&name, id)?;
        match kind.or_else(|| IdKind::from_id(id)) {
            Some(kind) => Ok(Self::UserAssigned {
                kind,
                id: id.to_owned(),
            }),
            None => Err(Error::new(
                Code::InvalidConfiguration,
                format!(
                    "{name} is neither a client id (a GUID) nor a resource id (/subscriptions/<id>/resourceGroups/\
                     <name>/providers/Microsoft.ManagedIdentity/userAssignedIdentities/<name>)."
                ),
            )),
        }
    }

    /// The id that a request names; `None` for the system-assigned identity.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::SystemAssigned => None,
            Self::UserAssigned { id, .. } => Some(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(client: UntypedValue, resource: UntypedValue, object: UntypedValue) -> Result<Identity, Error> {
        Identity::parse(
            [
                (IdKind::ClientId, &client),
                (IdKind::ResourceId, &resource),
                (IdKind::ObjectId, &object),
            ],
            &UntypedValue::Undefined,
        )
    }

    fn of_either_kind(id: &str, client: UntypedValue) -> Result<Identity, Error> {
        let absent = &UntypedValue::Undefined;
        Identity::parse(
            [
                (IdKind::ClientId, &client),
                (IdKind::ResourceId, absent),
                (IdKind::ObjectId, absent),
            ],
            &id.into(),
        )
    }

    #[test]
    fn id_format_determines_its_kind() {
        let guid = "1f2E3d4c-0000-4aaa-8bbb-123456789abc";
        let path =
            "/Subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
        for (id, kind) in [(guid, IdKind::ClientId), (path, IdKind::ResourceId)] {
            let identity = of_either_kind(id, UntypedValue::Undefined).expect("valid");
            assert_eq!(identity, Identity::UserAssigned { kind, id: id.into() });
        }
        for (id, client, code) in [
            ("my-identity", UntypedValue::Undefined, Code::InvalidConfiguration),
            (
                "/subscription/x",
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                "/subscriptions/",
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("/g/", "//"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("/g/", "/a b/"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("/g/", "/../"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &format!("{path}?x=1"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &format!("{path}\n"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &format!("{path}/"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &format!("/x{path}"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("ManagedIdentity", "Compute"),
                UntypedValue::Undefined,
                Code::InvalidConfiguration,
            ),
            ("", UntypedValue::Undefined, Code::MissingId),
            (guid, guid.into(), Code::InvalidIdType),
        ] {
            let error = of_either_kind(id, client).expect_err("refused");
            assert_eq!(*error.code(), code, "{error}");
            assert!(error.to_string().contains("userAssignedId"), "{error}");
        }
    }

    #[test]
    fn no_id_is_system_assigned_and_one_id_is_user_assigned() {
        let none = parse(
            UntypedValue::Undefined,
            UntypedValue::Undefined,
            UntypedValue::Undefined,
        );
        assert_eq!(none.expect("valid"), Identity::SystemAssigned);
        let one = parse(
            UntypedValue::Undefined,
            UntypedValue::Undefined,
            UntypedValue::String("o".into()),
        )
        .expect("valid");
        assert_eq!(
            one,
            Identity::UserAssigned {
                kind: IdKind::ObjectId,
                id: "o".into()
            }
        );
    }

    #[test]
    fn invalid_id_names_its_option() {
        let text = |text: &str| UntypedValue::String(text.into());
        for (given, code) in [
            (
                (text("a"), text("b"), UntypedValue::Undefined),
                Code::InvalidIdType,
            ),
            (
                (text("a"), UntypedValue::Undefined, text("")),
                Code::InvalidIdType,
            ),
            (
                (text(""), UntypedValue::Undefined, UntypedValue::Undefined),
                Code::MissingId,
            ),
            (
                (text(" \t"), UntypedValue::Undefined, UntypedValue::Undefined),
                Code::MissingId,
            ),
            (
                (
                    UntypedValue::Number(5.0),
                    UntypedValue::Undefined,
                    UntypedValue::Undefined,
                ),
                Code::MissingId,
            ),
            (
                (
                    text(&"x".repeat(MAX_ID_BYTES + 1)),
                    UntypedValue::Undefined,
                    UntypedValue::Undefined,
                ),
                Code::InvalidConfiguration,
            ),
        ] {
            let error = parse(given.0, given.1, given.2).expect_err("refused");
            assert_eq!(*error.code(), code, "{error}");
            assert!(error.to_string().contains("userAssignedClientId"), "{error}");
        }
    }

    #[test]
    fn id_with_surrounding_characters_is_rejected_and_not_shown() {
        let guid = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
        for (id, said) in [
            (format!("{guid}\n"), "white space"),
            (format!(" {guid}"), "white space"),
            (format!("\u{feff}{guid}"), "white space"),
            (format!("{guid}\u{200b}"), "white space"),
            (format!("{guid}\u{a0}"), "white space"),
            (format!("{guid}\u{0}"), "white space"),
            (format!("\"{guid}\""), "quotation marks"),
            (format!("'{guid}'"), "quotation marks"),
            (format!("{guid}\""), "quotation marks"),
            (format!("\u{201c}{guid}\u{201d}"), "quotation marks"),
            ("undefined".into(), "\"undefined\""),
            ("null".into(), "\"null\""),
            ("[object Object]".into(), "\"[object Object]\""),
        ] {
            let error = check_id("X", &id.as_str().into()).expect_err("refused");
            assert_eq!(*error.code(), Code::InvalidConfiguration, "{id:?}");
            let message = &error.details().message;
            assert!(
                message.starts_with("X ") && message.contains(said) && !message.contains(guid),
                "{message}"
            );
        }
        for id in [guid, "Null", "my undefined identity", "a\"b"] {
            assert_eq!(check_id("X", &id.into()).expect("valid"), id);
        }
        let blank = check_id("X", &"\u{feff}\n".into()).expect_err("refused");
        assert_eq!(*blank.code(), Code::MissingId);
    }

    #[test]
    fn empty_id_of_two_is_named() {
        let text = |text: &str| UntypedValue::String(text.into());
        for (client, object, said) in [
            ("a", "", ".userAssignedObjectId is an empty string"),
            (" ", "b", ".userAssignedClientId is an empty string"),
            ("a", "b", "by one id only"),
        ] {
            let error = parse(text(client), UntypedValue::Undefined, text(object)).expect_err("refused");
            assert_eq!(*error.code(), Code::InvalidIdType);
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn only_well_formed_ids_are_shown() {
        let guid = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
        for id in [guid, "/subscriptions/s/resourceGroups/g", "/Subscriptions/s"] {
            assert_eq!(printable_id(id), Some(id));
        }
        let long = format!("/subscriptions/{}", "x".repeat(MAX_SHOWN_ID));
        for id in [
            "my-identity",
            "hush",
            &guid[1..],
            "/subscriptions/a b",
            "/subscriptions/\n",
            &long,
        ] {
            assert_eq!(printable_id(id), None, "{id}");
        }
    }
}

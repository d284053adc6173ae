//! The managed identity of a token: system-assigned or user-assigned.

use crate::error::{Code, Error};
use crate::options::UntypedValue;
use crate::options::resource::is_guid;

/// Far longer than any Azure id; with a longer id the request line would exceed what endpoints accept.
const MAX_ID_BYTES: usize = 2_048;

/// The texts that JavaScript programs produce for a missing value.
const MISSING_VALUES: [&str; 3] = ["undefined", "null", "[object Object]"];
/// Straight and typographic quotation marks.
const QUOTES: &[char] = &[
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}',
    '\u{bb}',
];
/// A longer text is not shown as an id: resource ids have at most about 300 characters.
const MAX_SHOWN_ID: usize = 400;

/// The option for an id whose format determines its kind.
const EITHER_KIND: &str = "userAssignedId";
/// The prefix of every resource id.
const SUBSCRIPTIONS: &str = "/subscriptions/";
/// The segments of a user-assigned identity's resource id. All empty segments except the first stand for a name.
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

/// The kind of id that identifies a user-assigned identity.
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
    /// Determines the kind from the format of an id. A GUID counts as a client id.
    fn from_id(id: &str) -> Option<Self> {
        if is_guid(id) {
            Some(Self::ClientId)
        } else if is_resource_id(id) {
            Some(Self::ResourceId)
        } else {
            None
        }
    }

    /// Returns the name of the option for this kind.
    pub fn option(self) -> &'static str {
        match self {
            Self::ClientId => "userAssignedClientId",
            Self::ResourceId => "userAssignedResourceId",
            Self::ObjectId => "userAssignedObjectId",
        }
    }
}

/// Validates an id. The error contains `name`, the option or the variable of the id.
///
/// An empty, quoted or padded text, or the text `undefined`, comes from a variable that is unset or misread. It must not
/// select another identity, and the endpoint's error would not explain what is wrong with it.
pub fn check_id<'a>(name: &str, value: &'a UntypedValue) -> Result<&'a str, Error> {
    let invalid = |code, problem: &str| Err(Error::new(code, format!("{name} {problem}.")));
    let empty = "give the identity's id, or leave it out for the system-assigned identity";
    let id = match value {
        UntypedValue::String(id) => id.as_str(),
        other => return invalid(Code::MissingId, &format!("is {}; {empty}", other.type_name())),
    };
    if id.trim_matches(is_blank).is_empty() {
        return invalid(Code::MissingId, &format!("is an empty string; {empty}"));
    }
    if id.len() > MAX_ID_BYTES {
        return invalid(
            Code::InvalidConfiguration,
            &format!("is longer than {MAX_ID_BYTES} bytes, the limit of an id"),
        );
    }
    if let Some(text) = MISSING_VALUES.iter().find(|text| **text == id) {
        return invalid(
            Code::InvalidConfiguration,
            &format!("is the text \"{text}\", which programs write for a missing value; {empty}"),
        );
    }
    for (padding, is_padding) in [
        ("white space", is_blank as fn(char) -> bool),
        ("quotation marks", |c| QUOTES.contains(&c)),
    ] {
        if id.starts_with(is_padding) || id.ends_with(is_padding) {
            return invalid(
                Code::InvalidConfiguration,
                &format!("has {padding} around it; give the id alone"),
            );
        }
    }
    Ok(id)
}

/// Returns whether a character is white space, a control character, or a zero-width character, as copied text may
/// contain.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

/// Returns a text if it has the form of an id. Messages show no other text, because a variable may contain a secret by
/// mistake.
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

/// Returns whether an id is a user-assigned identity's resource id. Azure compares its segments case-insensitively.
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
            .all(|(index, (part, segment))| match segment {
                "" if index > 0 => is_name(part),
                segment => part.eq_ignore_ascii_case(segment),
            })
}

/// The managed identity to get tokens for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The identity of the host itself.
    SystemAssigned,
    /// An identity that is assigned to the host, identified by one of its ids.
    UserAssigned {
        /// The kind of the id.
        kind: IdKind,
        /// The id.
        id: String,
    },
}

impl Identity {
    /// Parses the options for the three kinds of id, and the option whose format determines its kind.
    ///
    /// An id that is present but empty is an error: an unset environment variable must not silently select another
    /// identity.
    pub fn parse(ids: [(IdKind, &UntypedValue); 3], of_either_kind: &UntypedValue) -> Result<Self, Error> {
        let mut present = ids
            .into_iter()
            .map(|(kind, value)| (kind.option(), Some(kind), value))
            .chain([(EITHER_KIND, None, of_either_kind)])
            .filter(|(.., value)| !matches!(value, UntypedValue::Undefined));
        let Some((option, kind, id)) = present.next() else {
            return Ok(Self::SystemAssigned);
        };
        if let Some((other, _, other_id)) = present.next() {
            let empty = [(option, id), (other, other_id)]
                .into_iter()
                .find(|(_, value)| matches!(value, UntypedValue::String(id) if id.trim_matches(is_blank).is_empty()));
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

    /// Returns the id that requests name; `None` for the system-assigned identity.
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

    fn parse_either_kind(id: &str, client: UntypedValue) -> Result<Identity, Error> {
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
            let identity = parse_either_kind(id, UntypedValue::Undefined).expect("valid");
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
            let error = parse_either_kind(id, client).expect_err("invalid");
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
        for (ids, code) in [
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
            let error = parse(ids.0, ids.1, ids.2).expect_err("invalid");
            assert_eq!(*error.code(), code, "{error}");
            assert!(error.to_string().contains("userAssignedClientId"), "{error}");
        }
    }

    #[test]
    fn id_with_surrounding_characters_is_rejected_and_not_shown() {
        let guid = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
        for (id, expected) in [
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
            let error = check_id("X", &id.as_str().into()).expect_err("invalid");
            assert_eq!(*error.code(), Code::InvalidConfiguration, "{id:?}");
            let message = &error.details().message;
            assert!(
                message.starts_with("X ") && message.contains(expected) && !message.contains(guid),
                "{message}"
            );
        }
        for id in [guid, "Null", "my undefined identity", "a\"b"] {
            assert_eq!(check_id("X", &id.into()).expect("valid"), id);
        }
        let blank = check_id("X", &"\u{feff}\n".into()).expect_err("invalid");
        assert_eq!(*blank.code(), Code::MissingId);
    }

    #[test]
    fn empty_id_of_two_is_named() {
        let text = |text: &str| UntypedValue::String(text.into());
        for (client, object, expected) in [
            ("a", "", ".userAssignedObjectId is an empty string"),
            (" ", "b", ".userAssignedClientId is an empty string"),
            ("a", "b", "by one id only"),
        ] {
            let error = parse(text(client), UntypedValue::Undefined, text(object)).expect_err("invalid");
            assert_eq!(*error.code(), Code::InvalidIdType);
            assert!(error.to_string().contains(expected), "{error}");
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

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
mod tests;

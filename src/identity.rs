//! Which identity a token is for: the host's own, or one that somebody assigned to it.

use crate::config::Given;
use crate::error::{Code, Error};
use crate::resource::is_guid;

/// No Azure id is near this; a longer one would not fit a request line that hosts accept.
const LIMIT: usize = 2_048;

/// The option of an id whose kind its shape tells.
const EITHER_KIND: &str = "userAssignedId";
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
    fn told_by(id: &str) -> Option<Self> {
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
    pub fn parse(given: [(IdKind, &Given); 3], of_either_kind: &Given) -> Result<Self, Error> {
        let mut present = given
            .into_iter()
            .map(|(kind, given)| (kind.option(), Some(kind), given))
            .chain([(EITHER_KIND, None, of_either_kind)])
            .filter(|(.., given)| !matches!(given, Given::Absent));
        let Some((option, kind, id)) = present.next() else {
            return Ok(Self::SystemAssigned);
        };
        if let Some((other, ..)) = present.next() {
            return Err(Error::new(
                Code::InvalidIdType,
                format!(
                    "Both managedIdentityIdParams.{option} and .{other} were given; name a user-assigned identity \
                     by one id only."
                ),
            ));
        }
        let refused = |code, what: &str| {
            let message = format!("managedIdentityIdParams.{option} {what}.");
            Err(Error::new(code, message))
        };
        let empty = "give the identity's id, or leave the option out for the system-assigned identity";
        match id {
            Given::Text(id) if id.len() > LIMIT => refused(
                Code::InvalidConfiguration,
                &format!("is longer than the {LIMIT} bytes that an id can have"),
            ),
            Given::Text(id) if !id.trim().is_empty() => match kind.or_else(|| IdKind::told_by(id)) {
                Some(kind) => Ok(Self::UserAssigned { kind, id: id.clone() }),
                None => refused(
                    Code::InvalidConfiguration,
                    "is neither a client id (a GUID) nor a resource id (/subscriptions/<id>/resourceGroups/<name>/providers/\
                     Microsoft.ManagedIdentity/userAssignedIdentities/<name>)",
                ),
            },
            Given::Text(_) => refused(Code::MissingId, &format!("is an empty string; {empty}")),
            other => refused(Code::MissingId, &format!("is {}; {empty}", other.kind())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(client: Given, resource: Given, object: Given) -> Result<Identity, Error> {
        Identity::parse(
            [
                (IdKind::ClientId, &client),
                (IdKind::ResourceId, &resource),
                (IdKind::ObjectId, &object),
            ],
            &Given::Absent,
        )
    }

    fn of_either_kind(id: &str, client: Given) -> Result<Identity, Error> {
        let absent = &Given::Absent;
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
    fn the_shape_of_an_id_tells_its_kind() {
        let guid = "1f2E3d4c-0000-4aaa-8bbb-123456789abc";
        let path =
            "/Subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
        for (id, kind) in [(guid, IdKind::ClientId), (path, IdKind::ResourceId)] {
            let identity = of_either_kind(id, Given::Absent).expect("valid");
            assert_eq!(identity, Identity::UserAssigned { kind, id: id.into() });
        }
        for (id, client, code) in [
            ("my-identity", Given::Absent, Code::InvalidConfiguration),
            ("/subscription/x", Given::Absent, Code::InvalidConfiguration),
            ("/subscriptions/", Given::Absent, Code::InvalidConfiguration),
            (
                &path.replace("/g/", "//"),
                Given::Absent,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("/g/", "/a b/"),
                Given::Absent,
                Code::InvalidConfiguration,
            ),
            (
                &path.replace("/g/", "/../"),
                Given::Absent,
                Code::InvalidConfiguration,
            ),
            (&format!("{path}?x=1"), Given::Absent, Code::InvalidConfiguration),
            (&format!("{path}\n"), Given::Absent, Code::InvalidConfiguration),
            (&format!("{path}/"), Given::Absent, Code::InvalidConfiguration),
            (&format!("/x{path}"), Given::Absent, Code::InvalidConfiguration),
            (
                &path.replace("ManagedIdentity", "Compute"),
                Given::Absent,
                Code::InvalidConfiguration,
            ),
            ("", Given::Absent, Code::MissingId),
            (guid, guid.into(), Code::InvalidIdType),
        ] {
            let error = of_either_kind(id, client).expect_err("refused");
            assert_eq!(*error.code(), code, "{error}");
            assert!(error.to_string().contains("userAssignedId"), "{error}");
        }
    }

    #[test]
    fn none_is_the_systems_and_one_is_that() {
        let none = parse(Given::Absent, Given::Absent, Given::Absent);
        assert_eq!(none.expect("valid"), Identity::SystemAssigned);
        let one = parse(Given::Absent, Given::Absent, Given::Text("o".into())).expect("valid");
        assert_eq!(
            one,
            Identity::UserAssigned {
                kind: IdKind::ObjectId,
                id: "o".into()
            }
        );
    }

    #[test]
    fn what_cannot_be_an_id_names_its_option() {
        let text = |text: &str| Given::Text(text.into());
        for (given, code) in [
            ((text("a"), text("b"), Given::Absent), Code::InvalidIdType),
            ((text("a"), Given::Absent, text("")), Code::InvalidIdType),
            ((text(""), Given::Absent, Given::Absent), Code::MissingId),
            ((text(" \t"), Given::Absent, Given::Absent), Code::MissingId),
            (
                (Given::Number(5.0), Given::Absent, Given::Absent),
                Code::MissingId,
            ),
            (
                (text(&"x".repeat(LIMIT + 1)), Given::Absent, Given::Absent),
                Code::InvalidConfiguration,
            ),
        ] {
            let error = parse(given.0, given.1, given.2).expect_err("refused");
            assert_eq!(*error.code(), code, "{error}");
            assert!(error.to_string().contains("userAssignedClientId"), "{error}");
        }
    }
}

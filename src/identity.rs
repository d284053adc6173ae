//! Which identity a token is for: the host's own, or one that somebody assigned to it.

use crate::config::Given;
use crate::error::{Code, Error};

/// No Azure id is near this; a longer one would not fit a request line that hosts accept.
const LIMIT: usize = 2_048;

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
    /// The option that names it.
    pub fn option(self) -> &'static str {
        match self {
            Self::ClientId => "userAssignedClientId",
            Self::ResourceId => "userAssignedResourceId",
            Self::ObjectId => "userAssignedObjectId",
        }
    }
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
    /// Takes what a caller gave for the three kinds of id.
    ///
    /// An id that is present but empty is an error: an unset environment variable must not silently
    /// become another identity.
    pub fn parse(given: [(IdKind, &Given); 3]) -> Result<Self, Error> {
        let mut present = given
            .into_iter()
            .filter(|(_, given)| !matches!(given, Given::Absent));
        let Some((kind, id)) = present.next() else {
            return Ok(Self::SystemAssigned);
        };
        if let Some((other, _)) = present.next() {
            return Err(Error::new(
                Code::InvalidIdType,
                format!(
                    "Both managedIdentityIdParams.{} and .{} were given; name a user-assigned identity by \
                     one id only.",
                    kind.option(),
                    other.option()
                ),
            ));
        }
        match id {
            Given::Text(id) if id.len() > LIMIT => Err(Error::new(
                Code::InvalidConfiguration,
                format!(
                    "managedIdentityIdParams.{} is longer than the {LIMIT} bytes that an id can have.",
                    kind.option()
                ),
            )),
            Given::Text(id) if !id.trim().is_empty() => Ok(Self::UserAssigned { kind, id: id.clone() }),
            other => Err(Error::new(
                Code::MissingId,
                format!(
                    "managedIdentityIdParams.{} is {}; give the identity's id, or leave the option out for \
                     the system-assigned identity.",
                    kind.option(),
                    if matches!(other, Given::Text(_)) {
                        "an empty string"
                    } else {
                        other.kind()
                    }
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(client: Given, resource: Given, object: Given) -> Result<Identity, Error> {
        Identity::parse([
            (IdKind::ClientId, &client),
            (IdKind::ResourceId, &resource),
            (IdKind::ObjectId, &object),
        ])
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

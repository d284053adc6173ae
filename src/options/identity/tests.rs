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

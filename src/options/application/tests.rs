//! Validation of each application option.

use super::*;

fn parse_error(raw: &RawApplicationOptions) -> String {
    ApplicationOptions::parse(raw).err().expect("invalid").to_string()
}

#[test]
fn defaults_equal_the_documentation() {
    let options = ApplicationOptions::parse(&RawApplicationOptions::default()).expect("valid");
    let [connect, request, last_request, total] = [3_000, 10_000, 30_000, 120_000].map(Duration::from_millis);
    assert_eq!(
        options.timeouts,
        Timeouts {
            connect,
            request,
            last_request,
            total
        }
    );
    assert_eq!(options.retry_options, RetryOptions::default());
    assert_eq!(options.identity, Identity::SystemAssigned);
    assert_eq!(
        (options.capabilities, options.disable_internal_retries),
        (None, false)
    );
}

#[test]
fn explicit_request_timeout_applies_to_every_attempt() {
    for millis in [10_000.0, 500.0, 45_000.0] {
        let raw = RawApplicationOptions {
            request_timeout: UntypedValue::Number(millis),
            ..RawApplicationOptions::default()
        };
        let timeouts = ApplicationOptions::parse(&raw).expect("valid").timeouts;
        let expected = Duration::from_secs_f64(millis / 1_000.0);
        assert_eq!((timeouts.request, timeouts.last_request), (expected, expected));
    }
}

#[test]
fn capabilities_are_joined_in_order() {
    let list = |items: &[&str]| {
        UntypedValue::Array(
            items
                .iter()
                .map(|item| UntypedValue::String((*item).into()))
                .collect(),
        )
    };
    let joined_capabilities = |client_capabilities| {
        let raw = RawApplicationOptions {
            client_capabilities,
            ..RawApplicationOptions::default()
        };
        ApplicationOptions::parse(&raw).expect("valid").capabilities
    };
    assert_eq!(
        joined_capabilities(list(&["cp1", "cp2"])).as_deref(),
        Some("cp1,cp2")
    );
    assert_eq!(joined_capabilities(list(&[])), None);
}

#[test]
fn invalid_option_is_named_in_the_error() {
    type InvalidOption = (fn(&mut RawApplicationOptions), &'static str);
    let cases: [InvalidOption; 20] = [
        (
            |raw| raw.enable_azure_proxy = UntypedValue::String("true".into()),
            "system.enableAzureProxy",
        ),
        (|raw| raw.source = "".into(), "source"),
        (|raw| raw.source = "appservice".into(), "source"),
        (|raw| raw.source = UntypedValue::Object, "source"),
        (|raw| raw.source = UntypedValue::Array(vec![]), "source"),
        (
            |raw| raw.source = UntypedValue::Array(vec!["Imds".into(), UntypedValue::Number(1.0)]),
            "source[1]",
        ),
        (
            |raw| raw.configuration = UntypedValue::Number(1.0),
            "configuration",
        ),
        (
            |raw| raw.managed_identity_id_params = UntypedValue::String("id".into()),
            "managedIdentityIdParams",
        ),
        (|raw| raw.system = UntypedValue::Array(vec![]), "system"),
        (
            |raw| raw.client_capabilities = UntypedValue::String("cp1".into()),
            "clientCapabilities",
        ),
        (
            |raw| raw.client_capabilities = UntypedValue::Array(vec![UntypedValue::Number(1.0)]),
            "clientCapabilities[0]",
        ),
        (
            |raw| raw.client_capabilities = UntypedValue::Array(vec![UntypedValue::String(String::new())]),
            "clientCapabilities[0]",
        ),
        (
            |raw| raw.connect_timeout = UntypedValue::Number(0.0),
            "system.connectTimeout",
        ),
        (
            |raw| raw.request_timeout = UntypedValue::String("1".into()),
            "system.requestTimeout",
        ),
        (
            |raw| raw.total_timeout = UntypedValue::Number(600_001.0),
            "system.totalTimeout",
        ),
        (
            |raw| raw.disable_internal_retries = UntypedValue::Number(1.0),
            "system.disableInternalRetries",
        ),
        (
            |raw| raw.network_client = UntypedValue::Object,
            "system.networkClient.sendGetRequestAsync",
        ),
        (
            |raw| raw.logger_callback = UntypedValue::Object,
            "system.loggerOptions.loggerCallback",
        ),
        (
            |raw| raw.log_level = UntypedValue::Number(5.0),
            "system.loggerOptions.logLevel",
        ),
        (
            |raw| raw.pii_logging_enabled = UntypedValue::Number(1.0),
            "system.loggerOptions.piiLoggingEnabled",
        ),
    ];
    for (set_invalid, option) in cases {
        let mut raw = RawApplicationOptions::default();
        set_invalid(&mut raw);
        let message = parse_error(&raw);
        assert!(
            message.starts_with(&format!("invalid_configuration: {option} ")),
            "{message}"
        );
    }
}

//! Detection of the source.

use super::*;
use crate::options::UntypedValue;

/// Returns the source by the detection table of docs/wire-protocol.md.
fn expected_source(set: impl Fn(&str) -> bool, himds: bool) -> SourceName {
    let endpoint = set(v::IDENTITY_ENDPOINT);
    if endpoint && set(v::IDENTITY_HEADER) && set(v::IDENTITY_SERVER_THUMBPRINT) {
        SourceName::ServiceFabric
    } else if endpoint && set(v::IDENTITY_HEADER) {
        SourceName::AppService
    } else if set(v::MSI_ENDPOINT) && set(v::MSI_SECRET) {
        SourceName::MachineLearning
    } else if set(v::MSI_ENDPOINT) {
        SourceName::CloudShell
    } else if endpoint && set(v::IMDS_ENDPOINT) || himds {
        SourceName::AzureArc
    } else if set(v::AZURE_FEDERATED_TOKEN_FILE) && set(v::AZURE_TENANT_ID) {
        SourceName::WorkloadIdentity
    } else {
        SourceName::DefaultToImds
    }
}

#[test]
fn every_variable_combination_selects_the_source_of_the_table() {
    const VARIABLES: [(&str, &str); 9] = [
        (v::IDENTITY_ENDPOINT, "https://a/token"),
        (v::IDENTITY_HEADER, "h"),
        (v::IDENTITY_SERVER_THUMBPRINT, THUMBPRINT),
        (v::IMDS_ENDPOINT, "http://b"),
        (v::MSI_ENDPOINT, "http://c/token"),
        (v::MSI_SECRET, "s"),
        (v::AZURE_FEDERATED_TOKEN_FILE, "/d"),
        (v::AZURE_TENANT_ID, "e"),
        (v::AZURE_CLIENT_ID, "f"),
    ];
    let without_agent = platform(&[]);
    let with_agent = platform(&[(HIMDS, FakeEntry::File(vec![]))]);
    let identities = [
        system_assigned(),
        user_assigned(IdKind::ClientId, "i"),
        user_assigned(IdKind::ObjectId, "i"),
    ];
    for combination in 0..1_u32 << VARIABLES.len() {
        let set = |index: usize| combination >> index & 1 == 1;
        for unset_as in [None, Some("")] {
            let variables: Vec<_> = VARIABLES
                .iter()
                .enumerate()
                .filter_map(|(index, (name, value))| {
                    Some((*name, if set(index) { *value } else { unset_as? }))
                })
                .collect();
            let env = environment(&variables);
            let is_set = |name: &str| {
                VARIABLES
                    .iter()
                    .position(|(known, _)| *known == name)
                    .is_some_and(set)
            };
            for (himds, platform) in [(false, &without_agent), (true, &with_agent)] {
                for options in &identities {
                    let expected = expected_source(is_set, himds && cfg!(target_os = "linux"));
                    assert_eq!(
                        detect_name(&env, options, platform),
                        expected,
                        "{variables:?} {himds}"
                    );
                    let source = match create(&env, options, platform) {
                        Ok(source) => Some(source.name()),
                        Err(error) => error.details().source,
                    };
                    assert_eq!(source, Some(expected), "{variables:?} {himds}");
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn arc_agent_is_a_regular_file_at_one_of_two_paths() {
    let options = system_assigned();
    for (path, entry, expected) in [
        (HIMDS, FakeEntry::File(vec![]), SourceName::AzureArc),
        (
            "/var/opt/azcmagent/bin/himds",
            FakeEntry::File(vec![]),
            SourceName::AzureArc,
        ),
        (HIMDS, FakeEntry::Pipe, SourceName::DefaultToImds),
        (
            "/usr/bin/himds",
            FakeEntry::File(vec![]),
            SourceName::DefaultToImds,
        ),
    ] {
        let platform = platform(&[(path, entry)]);
        assert_eq!(
            detect_name(&environment(&[]), &options, &platform),
            expected,
            "{path}"
        );
    }
}

#[test]
fn source_names_equal_the_public_constants() {
    let options = system_assigned();
    for (variables, expected) in [
        (APP_SERVICE, "AppService"),
        (AZURE_ARC, "AzureArc"),
        (CLOUD_SHELL, "CloudShell"),
        (&[][..], "DefaultToImds"),
        (MACHINE_LEARNING, "MachineLearning"),
        (SERVICE_FABRIC, "ServiceFabric"),
        (WORKLOAD_IDENTITY, "WorkloadIdentity"),
    ] {
        let found = detect_name(&environment(variables), &options, &platform(&[]));
        assert_eq!(found.as_str(), expected);
    }
}

#[test]
fn custom_client_is_supported_except_by_service_fabric() {
    let mut custom = system_assigned();
    custom.has_custom_transport = true;
    for variables in [
        APP_SERVICE,
        AZURE_ARC,
        CLOUD_SHELL,
        &[],
        MACHINE_LEARNING,
        WORKLOAD_IDENTITY,
    ] {
        assert!(open_source(variables, &custom).is_ok());
    }
    let error = creation_error(open_source(SERVICE_FABRIC, &custom));
    assert_eq!(*error.code(), Code::InvalidConfiguration);
    assert!(error.to_string().contains("system.networkClient"), "{error}");
    assert_eq!(error.details().source, Some(SourceName::ServiceFabric));
}

#[test]
fn variables_after_the_relevant_ones_do_not_matter() {
    let platform = platform(&[(FILE, FakeEntry::File(b"assertion".to_vec()))]);
    for variables in [
        SERVICE_FABRIC,
        APP_SERVICE,
        MACHINE_LEARNING,
        CLOUD_SHELL,
        AZURE_ARC,
        WORKLOAD_IDENTITY,
        &[],
    ] {
        let options = system_assigned();
        let request_parts = |variables: &[(&str, &str)]| {
            let source = create(&environment(variables), &options, &platform).expect("valid");
            let request = source.request(&query(&options), &platform).expect("a request");
            let headers: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.expose_secret()))
                .collect();
            (source.name(), request.url, headers, request.route)
        };
        let expected = request_parts(variables);
        for later in &v::ALL[expected.0.relevant_variable_count()..] {
            let changed = with(variables, &[(later, "https://elsewhere.example")]);
            assert_eq!(request_parts(&changed), expected, "{later}");
        }
    }
}

/// Returns the variables of all sources.
fn all_variables() -> Vec<(&'static str, &'static str)> {
    let agent = &[(v::IMDS_ENDPOINT, "http://127.0.0.1:40342")];
    [SERVICE_FABRIC, MACHINE_LEARNING, WORKLOAD_IDENTITY, agent].concat()
}

fn with_sources(sources: &[&str]) -> ApplicationOptions {
    options(|raw| raw.source = UntypedValue::Array(sources.iter().map(|name| (*name).into()).collect()))
}

#[test]
fn source_option_overrides_detection() {
    let all_variables = all_variables();
    for name in [
        "ServiceFabric",
        "AppService",
        "MachineLearning",
        "CloudShell",
        "AzureArc",
        "WorkloadIdentity",
        "DefaultToImds",
    ] {
        let single = options(|raw| raw.source = name.into());
        for options in [single, with_sources(&[name]), with_sources(&[name, "Imds"])] {
            let found = detect_name(&environment(&all_variables), &options, &platform(&[]));
            assert_eq!(found.as_str(), name);
            let result = open_source(&all_variables, &options).expect("complete");
            assert_eq!(result.name().as_str(), name);
        }
    }
}

#[test]
fn first_complete_source_of_a_list_is_used() {
    for (variables, chosen, expected) in [
        (APP_SERVICE, &["AzureArc", "AppService"][..], "AppService"),
        (APP_SERVICE, &["AppService", "Imds"], "AppService"),
        (APP_SERVICE, &["Imds", "AppService"], "DefaultToImds"),
        (APP_SERVICE, &["ServiceFabric", "Imds"], "DefaultToImds"),
        (SERVICE_FABRIC, &["AppService", "ServiceFabric"], "AppService"),
        (
            WORKLOAD_IDENTITY,
            &["AppService", "WorkloadIdentity"],
            "WorkloadIdentity",
        ),
        (
            &WORKLOAD_IDENTITY[..2],
            &["WorkloadIdentity", "Imds"],
            "DefaultToImds",
        ),
        (MACHINE_LEARNING, &["CloudShell", "MachineLearning"], "CloudShell"),
    ] {
        let result = open_source(variables, &with_sources(chosen)).expect("complete");
        assert_eq!(result.name().as_str(), expected, "{chosen:?}");
    }
}

#[test]
fn incomplete_chosen_sources_error_lists_missing_variables() {
    let chosen = with_sources(&["AppService", "AzureArc"]);
    let error = creation_error(open_source(&[(v::IDENTITY_ENDPOINT, "http://a")], &chosen));
    assert_eq!(
        (error.code(), error.details().unavailable),
        (&Code::InvalidConfiguration, true)
    );
    for word in [
        "source",
        "AppService needs IDENTITY_ENDPOINT and IDENTITY_HEADER",
        "IMDS_ENDPOINT",
    ] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let env = environment(&[]);
    assert_eq!(detect_name(&env, &chosen, &platform(&[])), SourceName::AppService);
    assert!(!is_any_detected(&env, &chosen, &platform(&[])));
    assert!(is_any_detected(
        &env,
        &with_sources(&["AppService", "Imds"]),
        &platform(&[])
    ));
}

#[test]
fn both_names_select_imds() {
    let key = |name| {
        let options = with_sources(&[name]);
        let source = open_source(&all_variables(), &options).expect("a source");
        crate::cache::CacheKey::new(&*source, &query(&options)).canonical_string()
    };
    let plain = open_source(&[], &system_assigned()).expect("a source");
    let detected = crate::cache::CacheKey::new(&*plain, &query(&system_assigned())).canonical_string();
    assert_eq!([key("Imds"), key("DefaultToImds")], [detected.clone(), detected]);
}

#[test]
fn every_variable_of_a_chosen_source_is_relevant() {
    let platform = platform(&[(FILE, FakeEntry::File(b"assertion".to_vec()))]);
    let lists: [&[&str]; 4] = [
        &["AppService"],
        &["WorkloadIdentity", "AppService"],
        &["Imds", "AppService"],
        &["CloudShell", "Imds"],
    ];
    for chosen in lists {
        let options = with_sources(chosen);
        for variables in [APP_SERVICE, &[], WORKLOAD_IDENTITY, CLOUD_SHELL] {
            let request_parts = |variables: &[(&str, &str)]| {
                let source = create(&environment(variables), &options, &platform).ok()?;
                let request = source.request(&query(&options), &platform).ok()?;
                Some((source.name(), request.url))
            };
            let Some(expected) = request_parts(variables) else {
                continue;
            };
            let count = relevant_variable_count(&options, expected.0, false);
            for later in &v::ALL[count..] {
                let changed = with(variables, &[(later, "https://elsewhere.example")]);
                assert_eq!(
                    request_parts(&changed),
                    Some(expected.clone()),
                    "{chosen:?} {later}"
                );
            }
        }
    }
    // App Service is the source only while the pod's variables are unset, so these are relevant.
    let count = relevant_variable_count(
        &with_sources(&["WorkloadIdentity", "AppService"]),
        SourceName::AppService,
        false,
    );
    assert_eq!(count, v::ALL.len());
    // The roots of an https endpoint depend on the last variable.
    let count = relevant_variable_count(&with_sources(&["AppService"]), SourceName::AppService, true);
    assert_eq!(count, v::ALL.len());
}

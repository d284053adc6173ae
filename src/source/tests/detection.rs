//! Which host this is.

use super::*;

/// The order of detection, written from the contract's table.
fn expected(set: impl Fn(&str) -> bool, himds: bool, named_by_client_id: bool) -> SourceName {
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
    } else if set(v::AZURE_FEDERATED_TOKEN_FILE)
        && set(v::AZURE_TENANT_ID)
        && (set(v::AZURE_CLIENT_ID) || named_by_client_id)
    {
        SourceName::WorkloadIdentity
    } else {
        SourceName::DefaultToImds
    }
}

#[test]
fn every_combination_leads_to_the_host_of_the_table_and_name_and_open_agree() {
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
    let without_agent = machine(&[]);
    let with_agent = machine(&[(HIMDS, Entry::File(vec![]))]);
    let identities = [
        (system_assigned(), false),
        (user_assigned(IdKind::ClientId, "i"), true),
        (user_assigned(IdKind::ObjectId, "i"), false),
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
            for (himds, machine) in [(false, &without_agent), (true, &with_agent)] {
                for (settings, named) in &identities {
                    let expected = expected(is_set, himds && cfg!(target_os = "linux"), *named);
                    assert_eq!(name(&env, settings, machine), expected, "{variables:?} {himds}");
                    let opened = match open(&env, settings, machine) {
                        Ok(source) => Some(source.name()),
                        Err(error) => error.facts().source,
                    };
                    assert_eq!(opened, Some(expected), "{variables:?} {himds}");
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_agent_is_a_regular_file_at_one_of_two_places() {
    let settings = system_assigned();
    for (path, entry, expected) in [
        (HIMDS, Entry::File(vec![]), SourceName::AzureArc),
        (
            "/var/opt/azcmagent/bin/himds",
            Entry::File(vec![]),
            SourceName::AzureArc,
        ),
        (HIMDS, Entry::Pipe, SourceName::DefaultToImds),
        ("/usr/bin/himds", Entry::File(vec![]), SourceName::DefaultToImds),
    ] {
        let machine = machine(&[(path, entry)]);
        assert_eq!(name(&environment(&[]), &settings, &machine), expected, "{path}");
    }
}

#[test]
fn the_names_are_those_that_callers_compare_with() {
    let settings = system_assigned();
    for (variables, expected) in [
        (APP_SERVICE, "AppService"),
        (AZURE_ARC, "AzureArc"),
        (CLOUD_SHELL, "CloudShell"),
        (&[][..], "DefaultToImds"),
        (MACHINE_LEARNING, "MachineLearning"),
        (SERVICE_FABRIC, "ServiceFabric"),
        (WORKLOAD_IDENTITY, "WorkloadIdentity"),
    ] {
        let found = name(&environment(variables), &settings, &machine(&[]));
        assert_eq!(found.as_str(), expected);
    }
}

#[test]
fn a_callers_transport_goes_with_every_host_but_service_fabric() {
    let net = crate::fakes::FakeNet::granting(1);
    for variables in [
        APP_SERVICE,
        AZURE_ARC,
        CLOUD_SHELL,
        &[],
        MACHINE_LEARNING,
        WORKLOAD_IDENTITY,
    ] {
        assert!(opened(variables, &system_assigned().with_transport(net.clone())).is_ok());
    }
    let error = refused(opened(SERVICE_FABRIC, &system_assigned().with_transport(net)));
    assert_eq!(*error.code(), Code::InvalidConfiguration);
    assert!(error.to_string().contains("system.networkClient"), "{error}");
    assert_eq!(error.facts().source, Some(SourceName::ServiceFabric));
}

#[test]
fn what_comes_after_a_sources_variables_has_no_say() {
    let machine = machine(&[(FILE, Entry::File(b"assertion".to_vec()))]);
    for variables in [
        SERVICE_FABRIC,
        APP_SERVICE,
        MACHINE_LEARNING,
        CLOUD_SHELL,
        AZURE_ARC,
        WORKLOAD_IDENTITY,
        &[],
    ] {
        let settings = system_assigned();
        let asked = |variables: &[(&str, &str)]| {
            let source = open(&environment(variables), &settings, &machine).expect("valid");
            let request = source.request(&ask(&settings), &machine).expect("a request");
            let headers: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.expose()))
                .collect();
            (source.name(), request.url, headers, request.route)
        };
        let expected = asked(variables);
        for later in &v::ALL[expected.0.variables()..] {
            let changed = with(variables, &[(later, "https://elsewhere.example")]);
            assert_eq!(asked(&changed), expected, "{later}");
        }
    }
}

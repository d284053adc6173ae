//! Trust roots: their sources, warnings, and files that hang.

use std::time::Duration;

#[cfg(not(any(windows, target_vendor = "apple")))]
use tokio::time::{advance, timeout};

use super::*;
use crate::http::Route;
use crate::http::certificate_pin::Thumbprint;
use crate::test_support::{self, CERTIFICATE, FakeClock, FakeEntry, FakeFiles};

#[cfg(not(any(windows, target_vendor = "apple")))]
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
const LIMIT: Duration = Duration::from_secs(10);
const EXTRA: &str = "/extra.pem";
/// PEM that holds no certificate.
const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";

fn platform(files: &[(&str, &str)]) -> (Platform, Arc<FakeFiles>) {
    let fake = Arc::new(FakeFiles::default());
    for (path, text) in files {
        fake.put(path, FakeEntry::File(text.as_bytes().to_vec()));
    }
    (test_support::platform(&FakeClock::new(), &fake), fake)
}

fn node(certificates: &str, is_exclusive: bool) -> NodeRoots {
    NodeRoots {
        certificates: Pem::new(certificates.as_bytes()),
        is_exclusive,
    }
}

fn process(node: impl Into<Option<NodeRoots>>, extra_file: Option<&str>) -> Roots {
    Roots::Process {
        node: node.into(),
        extra_file: extra_file.map(str::to_owned),
    }
}

#[cfg(not(any(windows, target_vendor = "apple")))]
#[tokio::test]
async fn each_location_of_roots_is_sufficient() {
    for (files, roots) in [
        (&[(SYSTEM, CERTIFICATE)][..], process(None, None)),
        (&[(EXTRA, CERTIFICATE)], process(None, Some(EXTRA))),
        (&[], process(node(CERTIFICATE, false), None)),
        (&[], process(node(CERTIFICATE, true), Some(EXTRA))),
        (
            &[(SYSTEM, NO_CERTIFICATE)],
            process(node(CERTIFICATE, false), None),
        ),
        (&[], Roots::Only(Pem::new(CERTIFICATE.as_bytes()))),
    ] {
        let built = client_config(&platform(files).0, &roots).expect("built");
        assert_eq!(built.warning, None, "{roots:?}");
    }
    for (files, roots) in [
        (&[][..], process(None, None)),
        (&[(SYSTEM, NO_CERTIFICATE)], process(node("", false), None)),
        // Roots that the process has chosen replace all others.
        (
            &[(SYSTEM, CERTIFICATE), (EXTRA, CERTIFICATE)],
            process(node("", true), Some(EXTRA)),
        ),
        (&[(SYSTEM, CERTIFICATE)], Roots::Only(Pem::new(&b"text"[..]))),
    ] {
        let error = client_config(&platform(files).0, &roots).err().expect("no roots");
        assert_eq!(error.kind, TransportErrorKind::Tls);
        assert!(error.cause.expect("a cause").message.contains("no trust roots"));
    }
}

#[tokio::test]
async fn certificate_that_cannot_be_parsed_is_skipped() {
    for text in [
        format!("{NO_CERTIFICATE}{CERTIFICATE}"),
        format!("{CERTIFICATE}{NO_CERTIFICATE}"),
        format!("# a comment\n{NO_CERTIFICATE}\n\n{CERTIFICATE}# the end"),
    ] {
        let roots = Roots::Only(Pem::new(text.as_bytes()));
        assert!(client_config(&platform(&[]).0, &roots).is_ok(), "{text}");
        assert!(has_certificate(text.as_bytes()));
    }
    assert!(!has_certificate(NO_CERTIFICATE.as_bytes()) && !has_certificate(b""));
}

#[cfg(not(any(windows, target_vendor = "apple")))]
#[tokio::test]
async fn extra_file_without_certificates_is_a_warning() {
    for files in [
        &[][..],
        &[(EXTRA, "")],
        &[(EXTRA, NO_CERTIFICATE), (EXTRA, "text")],
    ] {
        let with_system: Vec<_> = files.iter().copied().chain([(SYSTEM, CERTIFICATE)]).collect();
        let built = client_config(&platform(&with_system).0, &process(None, Some(EXTRA))).expect("built");
        let warning = built.warning.expect("a warning");
        assert!(
            warning.contains("NODE_EXTRA_CA_CERTS") && warning.contains(EXTRA),
            "{warning}"
        );
    }
}

#[cfg(not(any(windows, target_vendor = "apple")))]
#[tokio::test]
async fn configuration_is_built_once_for_the_same_roots() {
    let (platform, files) = platform(&[(SYSTEM, CERTIFICATE)]);
    let configs = ClientConfigs::default();
    let get = async |roots: &Roots| configs.get(&platform, roots).await.expect("built");
    let roots = process(node("", false), None);
    let first = get(&roots).await;
    let reads = files.reads();
    assert!(Arc::ptr_eq(
        &first.config,
        &get(&process(node("", false), None)).await.config
    ));
    assert_eq!(files.reads(), reads);
    // Other roots have another configuration, and so do the same roots if they are exclusive.
    for other in [
        process(node(CERTIFICATE, false), None),
        process(node(CERTIFICATE, true), None),
        process(None, None),
    ] {
        assert!(
            !Arc::ptr_eq(&first.config, &get(&other).await.config),
            "{other:?}"
        );
    }
    // A file that was missing is read again.
    let missing = process(None, Some(EXTRA));
    assert!(get(&missing).await.warning.is_some());
    files.put(EXTRA, FakeEntry::File(CERTIFICATE.as_bytes().to_vec()));
    assert_eq!(get(&missing).await.warning, None);
    for nth in 0..3 * MAX_CONFIGS {
        get(&process(node(&nth.to_string(), false), None)).await;
    }
    assert!(configs.lock().len() <= MAX_CONFIGS);
}

#[cfg(not(any(windows, target_vendor = "apple")))]
#[tokio::test(start_paused = true)]
async fn hung_extra_roots_do_not_delay_system_roots() {
    let (platform, files) = platform(&[(SYSTEM, CERTIFICATE), (EXTRA, CERTIFICATE)]);
    let hung = files.hang(EXTRA);
    let configs = Arc::new(ClientConfigs::default());
    let (waiting, files_of_waiting) = (configs.clone(), platform.clone());
    let limit = Duration::from_secs(1);
    let waiting = tokio::spawn(async move {
        let roots = process(None, Some(EXTRA));
        timeout(limit, waiting.get(&files_of_waiting, &roots))
            .await
            .is_err()
    });
    hung.read().await;
    assert!(configs.get(&platform, &process(None, None)).await.is_ok());
    advance(limit).await;
    assert!(waiting.await.expect("no panic"), "out of time");
}

#[cfg(not(any(windows, target_vendor = "apple")))]
#[tokio::test(start_paused = true)]
async fn hung_bundle_times_out_with_the_caller() {
    let (platform, files) = platform(&[(SYSTEM, CERTIFICATE)]);
    let hung = files.hang(SYSTEM);
    let waiting = platform.clone();
    let limit = Duration::from_secs(1);
    let waiting = tokio::spawn(async move {
        let configs = ClientConfigs::default();
        timeout(limit, configs.get(&waiting, &process(None, None)))
            .await
            .is_err()
    });
    hung.read().await;
    // Other queues of the pool are not delayed.
    assert_eq!(platform.blocking.run("/elsewhere", || 1).await, Some(1));
    advance(limit).await;
    assert!(waiting.await.expect("no panic"), "out of time");
}

/// The reader of a JavaScript thread whose event loop is blocked.
struct BlockedReader;

impl NodeRootsReader for BlockedReader {
    fn read(&self) -> std::pin::Pin<Box<dyn Future<Output = Option<NodeRoots>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn blocked_javascript_thread_is_not_waited_for_beyond_the_limit() {
    let roots = ProcessRoots {
        node: Some(Arc::new(BlockedReader)),
        extra_file: Some(EXTRA.to_owned()),
    };
    let mut request = Request::get(Url::parse("https://a.example").expect("a URL"));
    let started = Instant::now();
    roots.attach_to(&mut request, LIMIT).await;
    assert_eq!(started.elapsed(), LIMIT);
    assert_eq!(request.roots, process(None, Some(EXTRA)));
}

/// Counts its reads.
#[derive(Default)]
struct CountingReader(std::sync::atomic::AtomicUsize);

impl NodeRootsReader for CountingReader {
    fn read(&self) -> std::pin::Pin<Box<dyn Future<Output = Option<NodeRoots>> + Send + '_>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async { Some(node(CERTIFICATE, true)) })
    }
}

#[tokio::test]
async fn roots_are_read_only_for_a_request_that_needs_them() {
    let reader = Arc::new(CountingReader::default());
    let mut env = Environment::from([(variable::NODE_EXTRA_CA_CERTS, EXTRA)]);
    env.set_node_roots(reader.clone());
    let roots = ProcessRoots::from_environment(&env);
    let request = |url: &str, route| Request::get(Url::parse(url).expect("a URL")).with_route(route);
    let pin = Thumbprint::parse("a9993e364706816aba3e25717850c26c9cd0d89d").expect("a thumbprint");
    let token_proxy = Route::TokenProxy { server_name: None };
    let mut own = request("https://h/", token_proxy.clone());
    own.roots = Roots::Only(Pem::new(CERTIFICATE.as_bytes()));
    for mut unneeded in [
        request("http://h/", Route::Direct),
        request("https://h/", Route::PinnedCertificate(pin)),
        own,
    ] {
        let before = unneeded.roots.clone();
        roots.attach_to(&mut unneeded, LIMIT).await;
        assert_eq!(unneeded.roots, before);
    }
    assert_eq!(reader.0.load(std::sync::atomic::Ordering::Relaxed), 0);
    for route in [
        Route::Direct,
        Route::ProxyAware(ProxyConfig::default()),
        token_proxy,
    ] {
        let mut needed = request("https://h/", route);
        roots.attach_to(&mut needed, LIMIT).await;
        assert_eq!(needed.roots, process(node(CERTIFICATE, true), Some(EXTRA)));
    }
    assert_eq!(reader.0.load(std::sync::atomic::Ordering::Relaxed), 3);
}

//! Trust roots on file systems that hang.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::fakes::{Entry, FakeClock, FakeFiles, machine};

const EXTRA: &str = "/etc/corporate/roots.pem";
const ROOT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUDwcaKaUXrcec3G4FgHl2dGeCQKgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdGVzdCByb290MCAXDTI2MTEyNjEzMjcwM1oYDzIxMjYxMTAy
MTMyNzAzWjAUMRIwEAYDVQQDDAl0ZXN0IHJvb3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATdm+Ye3UEJJgOkme/VNhxmw4HW15Vkn0occ+eKyoFD3IG0c9BvLril
iLKBuUfuhrcrDjQc84PLXKcoYKk00T6Ao1MwUTAdBgNVHQ4EFgQUYDFddR8ZtSyz
gH3a9wnEoj2V8EcwHwYDVR0jBBgwFoAUYDFddR8ZtSyzgH3a9wnEoj2V8EcwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA8AYeDs0MclOjmtfAxowv
Y+19kGUoganlAuW3wn7Mp6MCIQDPCQGNuVvApNEP/OLy0gx+f7t82MqtgTHyNqMe
V3G3iA==
-----END CERTIFICATE-----
";

fn files() -> Arc<FakeFiles> {
    let files = Arc::new(FakeFiles::default());
    files.put(BUNDLES[0], Entry::File(ROOT.into()));
    files.put(EXTRA, Entry::File(ROOT.into()));
    files
}

#[tokio::test(start_paused = true)]
async fn roots_are_read_from_both_files() {
    let files = files();
    let machine = machine(&FakeClock::new(), &files);
    assert!(load(&machine, Some(EXTRA)).await.is_ok());
    assert_eq!(files.reads(), 2);
    files.put(EXTRA, Entry::File(b"no PEM".to_vec()));
    assert!(load(&machine, Some(EXTRA)).await.is_err());
    assert!(load(&machine, None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn extra_roots_that_hang_do_not_delay_the_systems() {
    let files = files();
    let hung = files.hang(EXTRA);
    let machine = machine(&FakeClock::new(), &files);
    let waiting = machine.clone();
    let waiting = tokio::spawn(async move {
        let limit = Duration::from_secs(1);
        tokio::time::timeout(limit, load(&waiting, Some(EXTRA))).await
    });
    hung.read().await;
    assert!(load(&machine, None).await.is_ok());
    advance(Duration::from_secs(1)).await;
    assert!(waiting.await.expect("no panic").is_err(), "out of time");
}

#[tokio::test(start_paused = true)]
async fn bundle_that_hangs_ends_with_its_callers_time() {
    let files = files();
    let hung = files.hang(BUNDLES[0]);
    let machine = machine(&FakeClock::new(), &files);
    let waiting = machine.clone();
    let waiting =
        tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(1), load(&waiting, None)).await });
    hung.read().await;
    // Other work of the pool goes on.
    assert_eq!(machine.blocking.run("/elsewhere", || 1).await, Some(1));
    advance(Duration::from_secs(1)).await;
    assert!(waiting.await.expect("no panic").is_err(), "out of time");
}

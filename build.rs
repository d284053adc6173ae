//! Tells the linker what a Node.js add-on needs.

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its target by a variable"
)]
fn main() {
    napi_build::setup();
    // Node.js unloads an add-on when the last worker that loaded it ends, but the network thread
    // lives on: its code must stay where it is.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

//! Sets the linker options of a Node.js add-on.

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes the target to a build script in a variable"
)]
fn main() {
    napi_build::setup();
    // Node.js unloads an add-on when the last worker that loaded it ends. The network thread continues to run, so its code
    // must remain mapped.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

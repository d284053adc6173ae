//! The options of an application and of a request. Parsing validates them, so every value of these types is valid.

pub mod application;
pub mod identity;
mod last_certificates;
pub mod request;
pub mod resource;
mod retry_options;
mod untyped_value;

pub use self::application::{ApplicationOptions, RawApplicationOptions, Timeouts};
pub use self::last_certificates::LastCertificates;
pub use self::untyped_value::{UntypedValue, type_error};

//! The options of an application and of a request. Parsing validates them, so every value of these types is valid.

pub mod application;
pub mod identity;
mod raw_application;
pub mod request;
pub mod resource;
mod retry_options;
mod untyped_value;

pub use self::application::{ApplicationOptions, Timeouts};
pub use self::raw_application::RawApplicationOptions;
pub use self::untyped_value::{UntypedValue, type_error};

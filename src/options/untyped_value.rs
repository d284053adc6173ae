//! Values of JavaScript before validation.
//!
//! The binding creates them from any JavaScript value. The parsers of the options validate them; their errors name the
//! invalid option.

use std::time::Duration;

use crate::error::{Code, Error};

/// The longest duration that an option accepts, in milliseconds: ten minutes.
const MAX_MILLIS: f64 = 600_000.0;

/// A JavaScript value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum UntypedValue {
    /// `undefined` or `null`.
    #[default]
    Undefined,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, `NaN` included.
    Number(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<UntypedValue>),
    /// A function.
    Function,
    /// Any other object.
    Object,
    /// A symbol, a bigint or the like.
    Other,
}

impl UntypedValue {
    /// Returns a description of the type, for messages that must not show the value.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined => "absent",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Function => "a function",
            Self::Object => "an object",
            Self::Other => "of an unsupported type",
        }
    }

    /// Returns a boolean; an absent value is false.
    pub fn as_bool(&self, option: &str) -> Result<bool, Error> {
        match self {
            Self::Undefined => Ok(false),
            Self::Boolean(value) => Ok(*value),
            other => Err(type_error(option, "a boolean", other)),
        }
    }

    /// Returns a string; an absent or empty value is `None`.
    pub fn as_str(&self, option: &str) -> Result<Option<&str>, Error> {
        match self {
            Self::Undefined => Ok(None),
            Self::String(value) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            other => Err(type_error(option, "a string", other)),
        }
    }

    /// Returns a duration in milliseconds, from 1 to 600,000.
    pub fn as_millis(&self, option: &str) -> Result<Option<Duration>, Error> {
        self.as_millis_from(1, option)
    }

    /// Returns a duration in milliseconds, from `min` to 600,000.
    pub fn as_millis_from(&self, min: u32, option: &str) -> Result<Option<Duration>, Error> {
        match self {
            Self::Undefined => Ok(None),
            Self::Number(millis) if (f64::from(min)..=MAX_MILLIS).contains(millis) => {
                Ok(Some(Duration::from_secs_f64(millis / 1_000.0)))
            }
            Self::Number(millis) => Err(Error::new(
                Code::InvalidConfiguration,
                format!("{option} is {millis}; it must be a number of milliseconds from {min} to 600000."),
            )),
            other => Err(type_error(option, "a number of milliseconds", other)),
        }
    }

    /// Checks for an object that contains further options, or an absent value.
    pub fn expect_object(&self, option: &str) -> Result<(), Error> {
        match self {
            Self::Undefined | Self::Object => Ok(()),
            other => Err(type_error(option, "an object", other)),
        }
    }

    /// Checks for a function.
    pub fn expect_function(&self, option: &str) -> Result<(), Error> {
        match self {
            Self::Function => Ok(()),
            other => Err(type_error(option, "a function", other)),
        }
    }
}

/// Returns the error for an option of the wrong type.
pub fn type_error(option: &str, expected: &str, value: &UntypedValue) -> Error {
    Error::new(
        Code::InvalidConfiguration,
        format!("{option} must be {expected}, but is {}.", value.type_name()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_limits() {
        for millis in [1.0, 1.5, 600_000.0] {
            let expected = Duration::from_secs_f64(millis / 1_000.0);
            assert_eq!(
                UntypedValue::Number(millis).as_millis("o").expect("valid"),
                Some(expected)
            );
        }
        for value in [0.0, 0.5, -1.0, 600_000.5, f64::NAN, f64::INFINITY].map(UntypedValue::Number) {
            let error = value.as_millis("system.requestTimeout").expect_err("invalid");
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            assert!(error.to_string().contains("system.requestTimeout"), "{error}");
        }
    }

    #[test]
    fn wrong_type_is_named_and_undefined_is_accepted() {
        assert!(!UntypedValue::Undefined.as_bool("o").expect("valid"));
        assert_eq!(
            UntypedValue::String(String::new()).as_str("o").expect("valid"),
            None
        );
        let error = UntypedValue::String("yes".into())
            .as_bool("forceRefresh")
            .expect_err("invalid");
        let expected = "invalid_configuration: forceRefresh must be a boolean, but is a string.";
        assert_eq!(error.to_string(), expected);
        assert!(UntypedValue::Array(vec![]).expect_object("system").is_err());
        assert!(UntypedValue::Object.expect_object("system").is_ok());
        assert!(UntypedValue::Undefined.expect_function("f").is_err());
    }
}

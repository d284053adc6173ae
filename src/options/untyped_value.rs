//! Values as a caller gave them, before anybody looked at them.
//!
//! The binding fills them in from whatever JavaScript sent; the rooms that know what is allowed
//! look at them and say which option is wrong.

use std::time::Duration;

use crate::error::{Code, Error};

/// The longest time that an option can name, in milliseconds: ten minutes.
const LONGEST_MILLIS: f64 = 600_000.0;

/// A value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given {
    /// `undefined` or `null`.
    #[default]
    Absent,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, `NaN` included.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Given>),
    /// A function.
    Function,
    /// Any other object.
    Object,
    /// A symbol, a bigint or the like.
    Other,
}

impl Given {
    /// What it is, for a message that must not show the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Function => "a function",
            Self::Object => "an object",
            Self::Other => "of an unsupported type",
        }
    }

    /// A boolean; absent is false.
    pub fn flag(&self, option: &str) -> Result<bool, Error> {
        match self {
            Self::Absent => Ok(false),
            Self::Boolean(value) => Ok(*value),
            other => Err(wrong(option, "a boolean", other)),
        }
    }

    /// A string; absent and empty are `None`.
    pub fn text(&self, option: &str) -> Result<Option<&str>, Error> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(value) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            other => Err(wrong(option, "a string", other)),
        }
    }

    /// A time in milliseconds, from 1 to 600,000.
    pub fn millis(&self, option: &str) -> Result<Option<Duration>, Error> {
        self.millis_from(1, option)
    }

    /// A time in milliseconds, from this number to 600,000.
    pub fn millis_from(&self, least: u32, option: &str) -> Result<Option<Duration>, Error> {
        match self {
            Self::Absent => Ok(None),
            Self::Number(millis) if (f64::from(least)..=LONGEST_MILLIS).contains(millis) => {
                Ok(Some(Duration::from_secs_f64(millis / 1_000.0)))
            }
            Self::Number(millis) => Err(Error::new(
                Code::InvalidConfiguration,
                format!("{option} is {millis}; it must be a number of milliseconds from {least} to 600000."),
            )),
            other => Err(wrong(option, "a number of milliseconds", other)),
        }
    }

    /// An object that holds further options; absent will do.
    pub fn group(&self, option: &str) -> Result<(), Error> {
        match self {
            Self::Absent | Self::Object => Ok(()),
            other => Err(wrong(option, "an object", other)),
        }
    }

    /// A function that must be there.
    pub fn function(&self, option: &str) -> Result<(), Error> {
        match self {
            Self::Function => Ok(()),
            other => Err(wrong(option, "a function", other)),
        }
    }
}

/// The error for an option of a wrong type.
pub fn wrong(option: &str, expected: &str, given: &Given) -> Error {
    Error::new(
        Code::InvalidConfiguration,
        format!("{option} must be {expected}, but is {}.", given.kind()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_limits() {
        for millis in [1.0, 1.5, 600_000.0] {
            let expected = Duration::from_secs_f64(millis / 1_000.0);
            assert_eq!(Given::Number(millis).millis("o").expect("valid"), Some(expected));
        }
        for given in [0.0, 0.5, -1.0, 600_000.5, f64::NAN, f64::INFINITY].map(Given::Number) {
            let error = given.millis("system.requestTimeout").expect_err("refused");
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            assert!(error.to_string().contains("system.requestTimeout"), "{error}");
        }
    }

    #[test]
    fn wrong_types_are_named_and_absent_will_do() {
        assert!(!Given::Absent.flag("o").expect("valid"));
        assert_eq!(Given::Text(String::new()).text("o").expect("valid"), None);
        let error = Given::Text("yes".into())
            .flag("forceRefresh")
            .expect_err("refused");
        let said = "invalid_configuration: forceRefresh must be a boolean, but is a string.";
        assert_eq!(error.to_string(), said);
        assert!(Given::List(vec![]).group("system").is_err());
        assert!(Given::Object.group("system").is_ok());
        assert!(Given::Absent.function("f").is_err());
    }
}

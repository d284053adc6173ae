//! `system.retryOptions`: the number and the delays of retries, with the option names of the Azure SDK.

use super::raw_application::RawApplicationOptions;
use super::untyped_value::{UntypedValue, type_error};
use crate::error::{Code, Error};
use crate::http::retry_policy::RetryOptions;

const MAX_RETRIES: u32 = 10;

/// Parses the options. Returns the defaults if retries are disabled, so that such callers share their requests.
pub(super) fn parse(raw: &RawApplicationOptions, are_disabled: bool) -> Result<RetryOptions, Error> {
    raw.retry_options.expect_object("system.retryOptions")?;
    let options = RetryOptions {
        max_retries: max_retries(&raw.max_retries)?,
        delay: raw
            .retry_delay_in_ms
            .as_millis_from(0, "system.retryOptions.retryDelayInMs")?,
        max_delay: raw
            .max_retry_delay_in_ms
            .as_millis_from(0, "system.retryOptions.maxRetryDelayInMs")?,
    };
    Ok(if are_disabled {
        RetryOptions::default()
    } else {
        options
    })
}

fn max_retries(value: &UntypedValue) -> Result<Option<u32>, Error> {
    const OPTION: &str = "system.retryOptions.maxRetries";
    match value {
        UntypedValue::Undefined => Ok(None),
        UntypedValue::Number(number) => (0..=MAX_RETRIES)
            .find(|retries| (f64::from(*retries) - number).abs() < f64::EPSILON)
            .map(Some)
            .ok_or_else(|| {
                Error::new(
                    Code::InvalidConfiguration,
                    format!("{OPTION} is {number}; it must be a whole number from 0 to {MAX_RETRIES}."),
                )
            }),
        other => Err(type_error(OPTION, "a whole number", other)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn raw_options(
        retries: UntypedValue,
        delay: UntypedValue,
        max_delay: UntypedValue,
    ) -> RawApplicationOptions {
        RawApplicationOptions {
            retry_options: UntypedValue::Object,
            max_retries: retries,
            retry_delay_in_ms: delay,
            max_retry_delay_in_ms: max_delay,
            ..RawApplicationOptions::default()
        }
    }

    #[test]
    fn present_options_apply_and_absent_options_do_not() {
        let unset = raw_options(
            UntypedValue::Undefined,
            UntypedValue::Undefined,
            UntypedValue::Undefined,
        );
        assert_eq!(parse(&unset, false).expect("valid"), RetryOptions::default());
        let minimum = raw_options(
            UntypedValue::Number(0.0),
            UntypedValue::Number(0.0),
            UntypedValue::Number(0.0),
        );
        let expected = RetryOptions {
            max_retries: Some(0),
            delay: Some(Duration::ZERO),
            max_delay: Some(Duration::ZERO),
        };
        assert_eq!(parse(&minimum, false).expect("valid"), expected);
        assert_eq!(parse(&minimum, true).expect("valid"), RetryOptions::default());
        let maximum = raw_options(
            UntypedValue::Number(10.0),
            UntypedValue::Number(600_000.0),
            UntypedValue::Number(0.5),
        );
        let expected = RetryOptions {
            max_retries: Some(10),
            delay: Some(Duration::from_mins(10)),
            max_delay: Some(Duration::from_micros(500)),
        };
        assert_eq!(parse(&maximum, false).expect("valid"), expected);
    }

    #[test]
    fn invalid_retry_option_is_named_with_disabled_retries() {
        use UntypedValue::Undefined;
        let invalid_numbers = |below: f64, above: f64| {
            [
                UntypedValue::Number(below),
                UntypedValue::Number(above),
                UntypedValue::Number(f64::NAN),
                UntypedValue::String("3".into()),
                UntypedValue::Boolean(true),
            ]
        };
        let mut cases = Vec::new();
        for retries in invalid_numbers(-1.0, 11.0)
            .into_iter()
            .chain([UntypedValue::Number(2.5)])
        {
            cases.push((
                raw_options(retries, Undefined, Undefined),
                "system.retryOptions.maxRetries ",
            ));
        }
        for delay in invalid_numbers(-0.5, 600_001.0) {
            let delays = [
                (
                    raw_options(Undefined, delay.clone(), Undefined),
                    "system.retryOptions.retryDelayInMs ",
                ),
                (
                    raw_options(Undefined, Undefined, delay),
                    "system.retryOptions.maxRetryDelayInMs ",
                ),
            ];
            cases.extend(delays);
        }
        let non_object = RawApplicationOptions {
            retry_options: UntypedValue::Number(3.0),
            ..RawApplicationOptions::default()
        };
        cases.push((non_object, "system.retryOptions "));
        for (raw, option) in cases {
            for are_disabled in [false, true] {
                let error = parse(&raw, are_disabled).expect_err("invalid");
                let message = error.to_string();
                assert!(
                    message.starts_with(&format!("invalid_configuration: {option}")),
                    "{message}"
                );
            }
        }
    }
}

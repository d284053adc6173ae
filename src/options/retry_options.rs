//! `system.retryOptions`: other numbers and delays of retries, under the Azure SDK's names.

use super::raw_application::RawApplicationOptions;
use super::untyped_value::{UntypedValue, type_error};
use crate::error::{Code, Error};
use crate::http::retry_policy::RetryOptions;

const MAX_RETRIES: u32 = 10;

/// The options; the defaults where retries are switched off, so that such callers share their requests.
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

fn max_retries(given: &UntypedValue) -> Result<Option<u32>, Error> {
    const OPTION: &str = "system.retryOptions.maxRetries";
    match given {
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

    fn given(retries: UntypedValue, delay: UntypedValue, max_delay: UntypedValue) -> RawApplicationOptions {
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
        let nothing = given(
            UntypedValue::Undefined,
            UntypedValue::Undefined,
            UntypedValue::Undefined,
        );
        assert_eq!(parse(&nothing, false).expect("valid"), RetryOptions::default());
        let least = given(
            UntypedValue::Number(0.0),
            UntypedValue::Number(0.0),
            UntypedValue::Number(0.0),
        );
        let expected = RetryOptions {
            max_retries: Some(0),
            delay: Some(Duration::ZERO),
            max_delay: Some(Duration::ZERO),
        };
        assert_eq!(parse(&least, false).expect("valid"), expected);
        assert_eq!(parse(&least, true).expect("valid"), RetryOptions::default());
        let most = given(
            UntypedValue::Number(10.0),
            UntypedValue::Number(600_000.0),
            UntypedValue::Number(0.5),
        );
        let expected = RetryOptions {
            max_retries: Some(10),
            delay: Some(Duration::from_mins(10)),
            max_delay: Some(Duration::from_micros(500)),
        };
        assert_eq!(parse(&most, false).expect("valid"), expected);
    }

    #[test]
    fn invalid_retry_option_is_named_with_disabled_retries() {
        use UntypedValue::Undefined;
        let wrong_numbers = |below: f64, above: f64| {
            [
                UntypedValue::Number(below),
                UntypedValue::Number(above),
                UntypedValue::Number(f64::NAN),
                UntypedValue::String("3".into()),
                UntypedValue::Boolean(true),
            ]
        };
        let mut cases = Vec::new();
        for retries in wrong_numbers(-1.0, 11.0)
            .into_iter()
            .chain([UntypedValue::Number(2.5)])
        {
            cases.push((
                given(retries, Undefined, Undefined),
                "system.retryOptions.maxRetries ",
            ));
        }
        for delay in wrong_numbers(-0.5, 600_001.0) {
            let delays = [
                (
                    given(Undefined, delay.clone(), Undefined),
                    "system.retryOptions.retryDelayInMs ",
                ),
                (
                    given(Undefined, Undefined, delay),
                    "system.retryOptions.maxRetryDelayInMs ",
                ),
            ];
            cases.extend(delays);
        }
        let group = RawApplicationOptions {
            retry_options: UntypedValue::Number(3.0),
            ..RawApplicationOptions::default()
        };
        cases.push((group, "system.retryOptions "));
        for (raw, option) in cases {
            for are_disabled in [false, true] {
                let error = parse(&raw, are_disabled).expect_err("refused");
                let said = error.to_string();
                assert!(
                    said.starts_with(&format!("invalid_configuration: {option}")),
                    "{said}"
                );
            }
        }
    }
}

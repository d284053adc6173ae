//! The parsed options of one application.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::identity::{IdKind, Identity};
use super::raw_application::RawApplicationOptions;
use super::retry_options;
use super::untyped_value::{UntypedValue, type_error};
use crate::error::{Code, Error};
use crate::http::retry_policy::RetryOptions;
use crate::log::Level;
use crate::platform::LastCertificates;
use crate::source_name::SourceName;

/// The default limit of one connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The default limit of one HTTP request, including connecting and reading the body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The default limit of the last request after one that timed out.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The default limit of one acquisition, including retries and delays.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(2);
/// The limit of all capabilities together; with a longer list the request line would exceed what endpoints accept.
const MAX_CAPABILITIES_BYTES: usize = 2_048;

/// The time limits of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The limit of one connection attempt.
    pub connect: Duration,
    /// The limit of one HTTP request.
    pub request: Duration,
    /// The limit of the last request after one that timed out: longer than `request`, unless the caller set `requestTimeout`.
    pub last_request: Duration,
    /// The limit of one acquisition.
    pub total: Duration,
}

/// The validated options of one application.
#[derive(Clone)]
pub struct ApplicationOptions {
    /// The managed identity to get tokens for.
    pub identity: Identity,
    /// The client capabilities, joined by commas; sent as `xms_cc`.
    pub capabilities: Option<String>,
    /// The sources that may be used, in the order of detection; `None` allows every source.
    pub sources: Option<Arc<[SourceName]>>,
    /// The time limits.
    pub timeouts: Timeouts,
    /// Whether to send one request per acquisition, without retries.
    pub disable_internal_retries: bool,
    /// The caller's overrides of the source's retry policy.
    pub retry_options: RetryOptions,
    /// Whether `system.networkClient` sends the requests.
    pub has_custom_transport: bool,
    /// The most detailed level of lines that are logged.
    pub log_level: Level,
    /// The directory of the persistent cache.
    pub cache_directory: Option<PathBuf>,
    /// Enables the token proxy of an AKS cluster (identity bindings). Stores the last content of its certificate file.
    pub azure_proxy: Option<Arc<LastCertificates>>,
}

impl ApplicationOptions {
    /// Validates every option; the error names the invalid one.
    pub fn parse(raw: &RawApplicationOptions) -> Result<Self, Error> {
        raw.configuration.expect_object("configuration")?;
        raw.managed_identity_id_params
            .expect_object("managedIdentityIdParams")?;
        raw.system.expect_object("system")?;
        raw.network_client.expect_object("system.networkClient")?;
        if raw.network_client != UntypedValue::Undefined {
            raw.send_get_request
                .expect_function("system.networkClient.sendGetRequestAsync")?;
            raw.send_post_request
                .expect_function("system.networkClient.sendPostRequestAsync")?;
        }
        if raw.on_background_token_refresh != UntypedValue::Undefined {
            raw.on_background_token_refresh
                .expect_function("system.onBackgroundTokenRefresh")?;
        }
        let request_timeout = raw.request_timeout.as_millis("system.requestTimeout")?;
        let disable_internal_retries = raw
            .disable_internal_retries
            .as_bool("system.disableInternalRetries")?;
        Ok(Self {
            identity: Identity::parse(
                [
                    (IdKind::ClientId, &raw.user_assigned_client_id),
                    (IdKind::ResourceId, &raw.user_assigned_resource_id),
                    (IdKind::ObjectId, &raw.user_assigned_object_id),
                ],
                &raw.user_assigned_id,
            )?,
            capabilities: parse_capabilities(&raw.client_capabilities)?,
            sources: parse_sources(&raw.source)?,
            timeouts: Timeouts {
                connect: raw
                    .connect_timeout
                    .as_millis("system.connectTimeout")?
                    .unwrap_or(CONNECT_TIMEOUT),
                request: request_timeout.unwrap_or(REQUEST_TIMEOUT),
                last_request: request_timeout.unwrap_or(LAST_REQUEST_TIMEOUT),
                total: raw
                    .total_timeout
                    .as_millis("system.totalTimeout")?
                    .unwrap_or(TOTAL_TIMEOUT),
            },
            disable_internal_retries,
            retry_options: retry_options::parse(raw, disable_internal_retries)?,
            has_custom_transport: raw.network_client != UntypedValue::Undefined,
            log_level: parse_log_level(raw)?,
            cache_directory: parse_cache_directory(raw)?,
            azure_proxy: raw
                .enable_azure_proxy
                .as_bool("system.enableAzureProxy")?
                .then(Arc::default),
        })
    }
}

/// Parses `cache`, which has at most one of a directory and a plug-in. The binding wraps the plug-in.
fn parse_cache_directory(raw: &RawApplicationOptions) -> Result<Option<PathBuf>, Error> {
    raw.cache.expect_object("cache")?;
    raw.cache_plugin.expect_object("cache.cachePlugin")?;
    let has_plugin = raw.cache_plugin != UntypedValue::Undefined;
    if has_plugin {
        raw.before_cache_access
            .expect_function("cache.cachePlugin.beforeCacheAccess")?;
        raw.after_cache_access
            .expect_function("cache.cachePlugin.afterCacheAccess")?;
    }
    let UntypedValue::String(text) = &raw.cache_directory else {
        return match &raw.cache_directory {
            UntypedValue::Undefined => Ok(None),
            other => Err(type_error("cache.directory", "a string", other)),
        };
    };
    let invalid = |reason: &str| {
        Err(Error::new(
            Code::InvalidConfiguration,
            format!("cache.directory {reason}."),
        ))
    };
    if has_plugin {
        return invalid("and cache.cachePlugin cannot be combined; set only one of them");
    }
    let path = PathBuf::from(text);
    if !path.is_absolute() || text.contains('\0') {
        return invalid("is not an absolute path");
    }
    Ok(Some(path))
}

fn parse_sources(value: &UntypedValue) -> Result<Option<Arc<[SourceName]>>, Error> {
    let expected = "one of ManagedIdentitySourceNames, or an array of them that is not empty";
    let parse = |option: &str, value: &UntypedValue| match value {
        UntypedValue::String(text) => SourceName::parse(text).ok_or_else(|| {
            let names = SourceName::ALL.map(SourceName::as_str).join(", ");
            let message = format!("{option} is not one of ManagedIdentitySourceNames: {names}, Imds.");
            Error::new(Code::InvalidConfiguration, message)
        }),
        other if option == "source" => Err(type_error(option, expected, other)),
        other => Err(type_error(option, "one of ManagedIdentitySourceNames", other)),
    };
    let chosen = match value {
        UntypedValue::Undefined => return Ok(None),
        UntypedValue::Array(items) if items.is_empty() => {
            let message = format!("source must be {expected}.");
            return Err(Error::new(Code::InvalidConfiguration, message));
        }
        UntypedValue::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| parse(&format!("source[{index}]"), item))
            .collect::<Result<_, _>>()?,
        one => [parse("source", one)?].into(),
    };
    Ok(Some(chosen))
}

fn parse_capabilities(value: &UntypedValue) -> Result<Option<String>, Error> {
    let items = match value {
        UntypedValue::Undefined => return Ok(None),
        UntypedValue::Array(items) => items,
        other => return Err(type_error("clientCapabilities", "an array of strings", other)),
    };
    let mut joined = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item {
            UntypedValue::String(text) if !text.is_empty() => joined.push(text.as_str()),
            other => {
                return Err(type_error(
                    &format!("clientCapabilities[{index}]"),
                    "a string that is not empty",
                    other,
                ));
            }
        }
    }
    let joined = joined.join(",");
    if joined.len() > MAX_CAPABILITIES_BYTES {
        return Err(Error::new(
            Code::InvalidConfiguration,
            format!("clientCapabilities must not exceed {MAX_CAPABILITIES_BYTES} bytes in total."),
        ));
    }
    Ok(Some(joined).filter(|joined| !joined.is_empty()))
}

fn parse_log_level(raw: &RawApplicationOptions) -> Result<Level, Error> {
    raw.logger_options.expect_object("system.loggerOptions")?;
    // This package logs no personal data, so the option has no effect.
    raw.pii_logging_enabled
        .as_bool("system.loggerOptions.piiLoggingEnabled")?;
    if raw.logger_callback != UntypedValue::Undefined {
        raw.logger_callback
            .expect_function("system.loggerOptions.loggerCallback")?;
    }
    match &raw.log_level {
        UntypedValue::Undefined => Ok(Level::Info),
        UntypedValue::Number(number) => Level::from_number(*number).ok_or_else(|| {
            Error::new(
                Code::InvalidConfiguration,
                format!("system.loggerOptions.logLevel is {number}; it must be one of LogLevel, 0 to 4."),
            )
        }),
        other => Err(type_error(
            "system.loggerOptions.logLevel",
            "one of LogLevel, 0 to 4",
            other,
        )),
    }
}

#[cfg(test)]
mod tests;

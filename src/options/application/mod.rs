//! The configuration of one application, parsed: invalid states cannot be written down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::last_certificates::LastCertificates;
use super::retry_options;
use super::untyped_value::{Given, wrong};
use crate::cache::persistent::Shelf;
use crate::error::{Code, Error};
use crate::events::Observation;
use crate::http::Transport;
use crate::http::retry_policy::RetryOptions;
use crate::log::{Level, Log, Sink};
use crate::options::identity::{IdKind, Identity};
use crate::source_name::SourceName;

/// One connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One HTTP exchange, connecting and body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The last exchange after one that was too slow.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// One acquisition, retries and waits included.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(2);
/// All capabilities together; a longer list would not fit a request line that hosts accept.
const CAPABILITIES_LIMIT: usize = 2_048;

/// The options as a caller gave them.
#[derive(Default)]
#[expect(
    missing_docs,
    reason = "each is the option of its name; index.d.ts documents them"
)]
pub struct RawConfiguration {
    pub configuration: Given,
    pub managed_identity_id_params: Given,
    pub user_assigned_client_id: Given,
    pub user_assigned_resource_id: Given,
    pub user_assigned_object_id: Given,
    pub user_assigned_id: Given,
    pub client_capabilities: Given,
    pub source: Given,
    pub cache: Given,
    pub cache_directory: Given,
    pub cache_plugin: Given,
    pub before_cache_access: Given,
    pub after_cache_access: Given,
    pub system: Given,
    pub disable_internal_retries: Given,
    pub retry_options: Given,
    pub max_retries: Given,
    pub retry_delay_in_ms: Given,
    pub max_retry_delay_in_ms: Given,
    pub connect_timeout: Given,
    pub request_timeout: Given,
    pub total_timeout: Given,
    pub network_client: Given,
    pub send_get_request: Given,
    pub send_post_request: Given,
    pub logger_options: Given,
    pub logger_callback: Given,
    pub log_level: Given,
    pub pii_logging_enabled: Given,
    pub on_background_token_refresh: Given,
    pub enable_azure_proxy: Given,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One connection attempt.
    pub connect: Duration,
    /// One HTTP exchange.
    pub request: Duration,
    /// The last one after one that was too slow: longer, unless the caller has set a limit.
    pub last_request: Duration,
    /// One acquisition.
    pub total: Duration,
}

/// The settings of one application.
#[derive(Clone)]
pub struct Settings {
    /// Whom to act as.
    pub identity: Identity,
    /// What goes out as `xms_cc`; `None` without capabilities.
    pub capabilities: Option<String>,
    /// The sources that may be used, in the order in which they are looked for; `None` is every source.
    pub sources: Option<Arc<[SourceName]>>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// One request per acquisition.
    pub disable_internal_retries: bool,
    /// What the caller wants instead of the source's numbers.
    pub retry_options: RetryOptions,
    /// The caller's own HTTP client; `None` is the native one.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where lines for the reader go.
    pub log: Log,
    /// Who observes.
    pub observation: Observation,
    /// The folder in which tokens are to be kept.
    pub cache_directory: Option<PathBuf>,
    /// The cache outside of this process.
    pub shelf: Option<Shelf>,
    /// Whether the token proxy of an AKS cluster is used (identity bindings), and what its authority's file held last.
    pub azure_proxy: Option<Arc<LastCertificates>>,
}

impl Settings {
    /// Checks every option; the error names the one that is wrong.
    pub fn parse(raw: &RawConfiguration) -> Result<Self, Error> {
        raw.configuration.group("configuration")?;
        raw.managed_identity_id_params.group("managedIdentityIdParams")?;
        raw.system.group("system")?;
        raw.network_client.group("system.networkClient")?;
        if raw.network_client != Given::Absent {
            raw.send_get_request
                .function("system.networkClient.sendGetRequestAsync")?;
            raw.send_post_request
                .function("system.networkClient.sendPostRequestAsync")?;
        }
        if raw.on_background_token_refresh != Given::Absent {
            raw.on_background_token_refresh
                .function("system.onBackgroundTokenRefresh")?;
        }
        let request_timeout = raw.request_timeout.millis("system.requestTimeout")?;
        let disable_internal_retries = raw
            .disable_internal_retries
            .flag("system.disableInternalRetries")?;
        Ok(Self {
            identity: Identity::parse(
                [
                    (IdKind::ClientId, &raw.user_assigned_client_id),
                    (IdKind::ResourceId, &raw.user_assigned_resource_id),
                    (IdKind::ObjectId, &raw.user_assigned_object_id),
                ],
                &raw.user_assigned_id,
            )?,
            capabilities: capabilities(&raw.client_capabilities)?,
            sources: sources(&raw.source)?,
            timeouts: Timeouts {
                connect: raw
                    .connect_timeout
                    .millis("system.connectTimeout")?
                    .unwrap_or(CONNECT_TIMEOUT),
                request: request_timeout.unwrap_or(REQUEST_TIMEOUT),
                last_request: request_timeout.unwrap_or(LAST_REQUEST_TIMEOUT),
                total: raw
                    .total_timeout
                    .millis("system.totalTimeout")?
                    .unwrap_or(TOTAL_TIMEOUT),
            },
            disable_internal_retries,
            retry_options: retry_options::parse(raw, disable_internal_retries)?,
            transport: None,
            log: Log::new(log_level(raw)?, None),
            observation: Observation::default(),
            cache_directory: cache_directory(raw)?,
            shelf: None,
            azure_proxy: raw
                .enable_azure_proxy
                .flag("system.enableAzureProxy")?
                .then(Arc::default),
        })
    }

    /// The same with a caller's own HTTP client.
    #[must_use]
    pub fn with_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The same with a cache outside of this process.
    #[must_use]
    pub fn with_shelf(mut self, shelf: Shelf) -> Self {
        self.shelf = Some(shelf);
        self
    }

    /// The same with a reader of lines.
    #[must_use]
    pub fn with_sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.log = Log::new(self.log.level(), Some(sink));
        self
    }
}

/// At most one of a directory and a plug-in; the plug-in is the binding's to wrap.
fn cache_directory(raw: &RawConfiguration) -> Result<Option<PathBuf>, Error> {
    raw.cache.group("cache")?;
    raw.cache_plugin.group("cache.cachePlugin")?;
    let has_plugin = raw.cache_plugin != Given::Absent;
    if has_plugin {
        raw.before_cache_access
            .function("cache.cachePlugin.beforeCacheAccess")?;
        raw.after_cache_access
            .function("cache.cachePlugin.afterCacheAccess")?;
    }
    let Given::Text(text) = &raw.cache_directory else {
        return match &raw.cache_directory {
            Given::Absent => Ok(None),
            other => Err(wrong("cache.directory", "a string", other)),
        };
    };
    let refused = |why: &str| {
        Err(Error::new(
            Code::InvalidConfiguration,
            format!("cache.directory {why}."),
        ))
    };
    if has_plugin {
        return refused("and cache.cachePlugin were both given; a cache lies in one place");
    }
    let path = PathBuf::from(text);
    if !path.is_absolute() || text.contains('\0') {
        return refused("is no absolute path");
    }
    Ok(Some(path))
}

fn sources(given: &Given) -> Result<Option<Arc<[SourceName]>>, Error> {
    let expected = "one of ManagedIdentitySourceNames, or an array of them that is not empty";
    let parse = |option: &str, given: &Given| match given {
        Given::Text(text) => SourceName::parse(text).ok_or_else(|| {
            let names = SourceName::ALL.map(SourceName::as_str).join(", ");
            let message = format!("{option} is not one of ManagedIdentitySourceNames: {names}, Imds.");
            Error::new(Code::InvalidConfiguration, message)
        }),
        other if option == "source" => Err(wrong(option, expected, other)),
        other => Err(wrong(option, "one of ManagedIdentitySourceNames", other)),
    };
    let chosen = match given {
        Given::Absent => return Ok(None),
        Given::List(items) if items.is_empty() => {
            let message = format!("source must be {expected}.");
            return Err(Error::new(Code::InvalidConfiguration, message));
        }
        Given::List(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| parse(&format!("source[{index}]"), item))
            .collect::<Result<_, _>>()?,
        one => [parse("source", one)?].into(),
    };
    Ok(Some(chosen))
}

fn capabilities(given: &Given) -> Result<Option<String>, Error> {
    let items = match given {
        Given::Absent => return Ok(None),
        Given::List(items) => items,
        other => return Err(wrong("clientCapabilities", "an array of strings", other)),
    };
    let mut joined = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item {
            Given::Text(text) if !text.is_empty() => joined.push(text.as_str()),
            other => {
                return Err(wrong(
                    &format!("clientCapabilities[{index}]"),
                    "a string that is not empty",
                    other,
                ));
            }
        }
    }
    let joined = joined.join(",");
    if joined.len() > CAPABILITIES_LIMIT {
        return Err(Error::new(
            Code::InvalidConfiguration,
            format!("clientCapabilities are longer than {CAPABILITIES_LIMIT} bytes together."),
        ));
    }
    Ok(Some(joined).filter(|joined| !joined.is_empty()))
}

fn log_level(raw: &RawConfiguration) -> Result<Level, Error> {
    raw.logger_options.group("system.loggerOptions")?;
    // Nothing that this package logs is personal, so the switch has nothing to switch.
    raw.pii_logging_enabled
        .flag("system.loggerOptions.piiLoggingEnabled")?;
    if raw.logger_callback != Given::Absent {
        raw.logger_callback
            .function("system.loggerOptions.loggerCallback")?;
    }
    match &raw.log_level {
        Given::Absent => Ok(Level::Info),
        Given::Number(number) => Level::from_number(*number).ok_or_else(|| {
            Error::new(
                Code::InvalidConfiguration,
                format!("system.loggerOptions.logLevel is {number}; it must be one of LogLevel, 0 to 4."),
            )
        }),
        other => Err(wrong(
            "system.loggerOptions.logLevel",
            "one of LogLevel, 0 to 4",
            other,
        )),
    }
}

#[cfg(test)]
mod tests;

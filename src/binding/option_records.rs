//! What JavaScript hands down of options and requests: fields of any type, which are checked elsewhere.

use napi::Result;
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use super::untyped_value::given;
use crate::options::RawConfiguration;
use crate::options::identity::{Identity, presentable};
use crate::options::request::RawRequest;

/// The options of an application, flat and of any type.
#[napi(object)]
pub struct ConfigurationRecord<'env> {
    pub configuration: Option<Unknown<'env>>,
    pub managed_identity_id_params: Option<Unknown<'env>>,
    pub user_assigned_client_id: Option<Unknown<'env>>,
    pub user_assigned_resource_id: Option<Unknown<'env>>,
    pub user_assigned_object_id: Option<Unknown<'env>>,
    pub user_assigned_id: Option<Unknown<'env>>,
    pub client_capabilities: Option<Unknown<'env>>,
    pub source: Option<Unknown<'env>>,
    pub cache: Option<Unknown<'env>>,
    pub cache_directory: Option<Unknown<'env>>,
    pub cache_plugin: Option<Unknown<'env>>,
    pub before_cache_access: Option<Unknown<'env>>,
    pub after_cache_access: Option<Unknown<'env>>,
    pub system: Option<Unknown<'env>>,
    pub disable_internal_retries: Option<Unknown<'env>>,
    pub retry_options: Option<Unknown<'env>>,
    pub max_retries: Option<Unknown<'env>>,
    pub retry_delay_in_ms: Option<Unknown<'env>>,
    pub max_retry_delay_in_ms: Option<Unknown<'env>>,
    pub connect_timeout: Option<Unknown<'env>>,
    pub request_timeout: Option<Unknown<'env>>,
    pub total_timeout: Option<Unknown<'env>>,
    pub network_client: Option<Unknown<'env>>,
    pub send_get_request: Option<Unknown<'env>>,
    pub send_post_request: Option<Unknown<'env>>,
    pub logger_options: Option<Unknown<'env>>,
    pub logger_callback: Option<Unknown<'env>>,
    pub log_level: Option<Unknown<'env>>,
    pub pii_logging_enabled: Option<Unknown<'env>>,
    pub on_background_token_refresh: Option<Unknown<'env>>,
    pub enable_azure_proxy: Option<Unknown<'env>>,
}

impl ConfigurationRecord<'_> {
    pub(super) fn raw(&self) -> Result<RawConfiguration> {
        Ok(RawConfiguration {
            configuration: given(&self.configuration)?,
            managed_identity_id_params: given(&self.managed_identity_id_params)?,
            user_assigned_client_id: given(&self.user_assigned_client_id)?,
            user_assigned_resource_id: given(&self.user_assigned_resource_id)?,
            user_assigned_object_id: given(&self.user_assigned_object_id)?,
            user_assigned_id: given(&self.user_assigned_id)?,
            client_capabilities: given(&self.client_capabilities)?,
            source: given(&self.source)?,
            cache: given(&self.cache)?,
            cache_directory: given(&self.cache_directory)?,
            cache_plugin: given(&self.cache_plugin)?,
            before_cache_access: given(&self.before_cache_access)?,
            after_cache_access: given(&self.after_cache_access)?,
            system: given(&self.system)?,
            disable_internal_retries: given(&self.disable_internal_retries)?,
            retry_options: given(&self.retry_options)?,
            max_retries: given(&self.max_retries)?,
            retry_delay_in_ms: given(&self.retry_delay_in_ms)?,
            max_retry_delay_in_ms: given(&self.max_retry_delay_in_ms)?,
            connect_timeout: given(&self.connect_timeout)?,
            request_timeout: given(&self.request_timeout)?,
            total_timeout: given(&self.total_timeout)?,
            network_client: given(&self.network_client)?,
            send_get_request: given(&self.send_get_request)?,
            send_post_request: given(&self.send_post_request)?,
            logger_options: given(&self.logger_options)?,
            logger_callback: given(&self.logger_callback)?,
            log_level: given(&self.log_level)?,
            pii_logging_enabled: given(&self.pii_logging_enabled)?,
            on_background_token_refresh: given(&self.on_background_token_refresh)?,
            enable_azure_proxy: given(&self.enable_azure_proxy)?,
        })
    }
}

/// The user-assigned identity of an application, as a reader may see it.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct IdentityRecord {
    /// The option that names it.
    pub option: String,
    /// Its id; absent if it does not have the form of one, and so may be anything.
    pub id: Option<String>,
}

impl IdentityRecord {
    pub(super) fn of(identity: &Identity) -> Option<Self> {
        match identity {
            Identity::SystemAssigned => None,
            Identity::UserAssigned { kind, id } => Some(Self {
                option: kind.option().to_owned(),
                id: presentable(id).map(str::to_owned),
            }),
        }
    }
}

/// What few requests have beside a resource, of any type.
#[napi(object)]
pub struct WishesRecord<'env> {
    /// A list of scopes, or one: it goes before the resource.
    pub scopes: Option<Unknown<'env>>,
    pub claims: Option<Unknown<'env>>,
    pub timeout: Option<Unknown<'env>>,
    pub tenant_id: Option<Unknown<'env>>,
    pub enable_cae: Option<Unknown<'env>>,
    pub retry_identity_not_found: Option<Unknown<'env>>,
    /// Whether the call comes from `getToken`.
    pub for_credential: Option<bool>,
    /// Whether what was given is an `AbortSignal`; absent if nothing was.
    pub abort_signal: Option<Unknown<'env>>,
}

impl WishesRecord<'_> {
    pub(super) fn raw(&self) -> Result<RawRequest> {
        Ok(RawRequest {
            scopes: given(&self.scopes)?,
            claims: given(&self.claims)?,
            timeout: given(&self.timeout)?,
            tenant_id: given(&self.tenant_id)?,
            enable_cae: given(&self.enable_cae)?,
            retry_identity_not_found: given(&self.retry_identity_not_found)?,
            for_credential: self.for_credential.unwrap_or_default(),
            abort_signal: given(&self.abort_signal)?,
            ..RawRequest::default()
        })
    }
}

//! The options of applications and requests: fields of any type, which `crate::options` checks.

use napi::Result;
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use crate::binding::untyped_value::from_js;
use crate::options::RawApplicationOptions;
use crate::options::identity::{Identity, printable_id};
use crate::options::request::RawRequest;

/// The options of an application in one flat record, of any type.
#[napi(object)]
pub struct JsApplicationOptions<'env> {
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

impl JsApplicationOptions<'_> {
    pub(in crate::binding) fn raw(&self) -> Result<RawApplicationOptions> {
        Ok(RawApplicationOptions {
            configuration: from_js(&self.configuration)?,
            managed_identity_id_params: from_js(&self.managed_identity_id_params)?,
            user_assigned_client_id: from_js(&self.user_assigned_client_id)?,
            user_assigned_resource_id: from_js(&self.user_assigned_resource_id)?,
            user_assigned_object_id: from_js(&self.user_assigned_object_id)?,
            user_assigned_id: from_js(&self.user_assigned_id)?,
            client_capabilities: from_js(&self.client_capabilities)?,
            source: from_js(&self.source)?,
            cache: from_js(&self.cache)?,
            cache_directory: from_js(&self.cache_directory)?,
            cache_plugin: from_js(&self.cache_plugin)?,
            before_cache_access: from_js(&self.before_cache_access)?,
            after_cache_access: from_js(&self.after_cache_access)?,
            system: from_js(&self.system)?,
            disable_internal_retries: from_js(&self.disable_internal_retries)?,
            retry_options: from_js(&self.retry_options)?,
            max_retries: from_js(&self.max_retries)?,
            retry_delay_in_ms: from_js(&self.retry_delay_in_ms)?,
            max_retry_delay_in_ms: from_js(&self.max_retry_delay_in_ms)?,
            connect_timeout: from_js(&self.connect_timeout)?,
            request_timeout: from_js(&self.request_timeout)?,
            total_timeout: from_js(&self.total_timeout)?,
            network_client: from_js(&self.network_client)?,
            send_get_request: from_js(&self.send_get_request)?,
            send_post_request: from_js(&self.send_post_request)?,
            logger_options: from_js(&self.logger_options)?,
            logger_callback: from_js(&self.logger_callback)?,
            log_level: from_js(&self.log_level)?,
            pii_logging_enabled: from_js(&self.pii_logging_enabled)?,
            on_background_token_refresh: from_js(&self.on_background_token_refresh)?,
            enable_azure_proxy: from_js(&self.enable_azure_proxy)?,
        })
    }
}

/// The user-assigned identity of an application, for display.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsIdentity {
    /// The option that names the identity.
    pub option: String,
    /// The id; absent if it does not have the form of an id, since it may then be a secret.
    pub id: Option<String>,
}

impl JsIdentity {
    pub(in crate::binding) fn of(identity: &Identity) -> Option<Self> {
        match identity {
            Identity::SystemAssigned => None,
            Identity::UserAssigned { kind, id } => Some(Self {
                option: kind.option().to_owned(),
                id: printable_id(id).map(str::to_owned),
            }),
        }
    }
}

/// The options of a request besides its resource, of any type. Few requests have any.
#[napi(object)]
pub struct JsRequestOptions<'env> {
    /// A scope, or an array of scopes. It takes precedence over the resource.
    pub scopes: Option<Unknown<'env>>,
    pub claims: Option<Unknown<'env>>,
    pub timeout: Option<Unknown<'env>>,
    pub tenant_id: Option<Unknown<'env>>,
    pub enable_cae: Option<Unknown<'env>>,
    pub retry_identity_not_found: Option<Unknown<'env>>,
    /// Whether the call comes from `getToken`.
    pub for_credential: Option<bool>,
    /// Whether the `abortSignal` of the request is an `AbortSignal`; absent without one.
    pub abort_signal: Option<Unknown<'env>>,
}

impl JsRequestOptions<'_> {
    pub(in crate::binding) fn raw(&self) -> Result<RawRequest> {
        Ok(RawRequest {
            scopes: from_js(&self.scopes)?,
            claims: from_js(&self.claims)?,
            timeout: from_js(&self.timeout)?,
            tenant_id: from_js(&self.tenant_id)?,
            enable_cae: from_js(&self.enable_cae)?,
            retry_identity_not_found: from_js(&self.retry_identity_not_found)?,
            is_credential_call: self.for_credential.unwrap_or_default(),
            abort_signal: from_js(&self.abort_signal)?,
            ..RawRequest::default()
        })
    }
}

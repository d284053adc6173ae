//! The options of an application before validation.

use super::untyped_value::UntypedValue;

/// The options that a caller passed, before validation.
#[derive(Default)]
#[expect(
    missing_docs,
    reason = "each field is the option of the same name; index.d.ts documents them"
)]
pub struct RawApplicationOptions {
    pub configuration: UntypedValue,
    pub managed_identity_id_params: UntypedValue,
    pub user_assigned_client_id: UntypedValue,
    pub user_assigned_resource_id: UntypedValue,
    pub user_assigned_object_id: UntypedValue,
    pub user_assigned_id: UntypedValue,
    pub client_capabilities: UntypedValue,
    pub source: UntypedValue,
    pub cache: UntypedValue,
    pub cache_directory: UntypedValue,
    pub cache_plugin: UntypedValue,
    pub before_cache_access: UntypedValue,
    pub after_cache_access: UntypedValue,
    pub system: UntypedValue,
    pub disable_internal_retries: UntypedValue,
    pub retry_options: UntypedValue,
    pub max_retries: UntypedValue,
    pub retry_delay_in_ms: UntypedValue,
    pub max_retry_delay_in_ms: UntypedValue,
    pub connect_timeout: UntypedValue,
    pub request_timeout: UntypedValue,
    pub total_timeout: UntypedValue,
    pub network_client: UntypedValue,
    pub send_get_request: UntypedValue,
    pub send_post_request: UntypedValue,
    pub logger_options: UntypedValue,
    pub logger_callback: UntypedValue,
    pub log_level: UntypedValue,
    pub pii_logging_enabled: UntypedValue,
    pub on_background_token_refresh: UntypedValue,
    pub enable_azure_proxy: UntypedValue,
}

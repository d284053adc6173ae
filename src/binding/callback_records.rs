//! What crosses to the callbacks of an application and back: network client and cache plug-in.

use std::collections::BTreeMap;

use napi_derive::napi;

/// A request for the caller's network client.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsNetworkRequest {
    pub post: bool,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

/// The result of such a request: a status with the parts of a response, or a message with the parts of an error.
#[napi(object, object_to_js = false)]
pub struct JsNetworkResponse {
    pub status: Option<u32>,
    pub www_authenticate: Option<String>,
    pub retry_after: Option<String>,
    pub date: Option<String>,
    pub body: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub server: Option<String>,
    pub content_type: Option<String>,
}

/// An access to the cache plug-in: reads the record of an entry, or replaces it with this one.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct CacheAccess {
    pub entry: String,
    pub record: Option<String>,
}

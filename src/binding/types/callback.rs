//! The requests to the network client and the cache plug-in of an application, and the responses of the network client.

use std::collections::BTreeMap;

use napi_derive::napi;

/// A request for a custom network client.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsNetworkRequest {
    pub post: bool,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

/// The result of a request: a status with the other parts of a response, or a message with the code of an error.
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

/// One access to a cache plug-in: reads the record of an entry, or replaces it with `record`.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct CacheAccess {
    pub entry: String,
    pub record: Option<String>,
}

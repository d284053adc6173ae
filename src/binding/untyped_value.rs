//! The conversion of JavaScript values of any type. `crate::options` validates them.

use napi::bindgen_prelude::{JsObjectValue, JsValue, Object, Unknown};
use napi::{Result, ValueType};

use crate::options::UntypedValue;

/// Converts a value without validating it.
#[expect(clippy::ref_option, reason = "the fields of the records are options")]
pub(super) fn from_js(value: &Option<Unknown<'_>>) -> Result<UntypedValue> {
    value.as_ref().map_or(Ok(UntypedValue::Undefined), convert)
}

fn convert(value: &Unknown<'_>) -> Result<UntypedValue> {
    Ok(match value.get_type()? {
        ValueType::Undefined | ValueType::Null => UntypedValue::Undefined,
        ValueType::Boolean => UntypedValue::Boolean(value.coerce_to_bool()?),
        ValueType::Number => UntypedValue::Number(value.coerce_to_number()?.get_double()?),
        ValueType::String => {
            UntypedValue::String(value.coerce_to_string()?.into_utf8()?.as_str()?.to_owned())
        }
        ValueType::Function => UntypedValue::Function,
        ValueType::Object if value.is_array()? => convert_array(&value.coerce_to_object()?)?,
        ValueType::Object => UntypedValue::Object,
        _ => UntypedValue::Other,
    })
}

fn convert_array(array: &Object<'_>) -> Result<UntypedValue> {
    let items = (0..array.get_array_length()?).map(|index| {
        // No option is an array of arrays, so nested arrays are not converted.
        let item: Unknown<'_> = array.get_element(index)?;
        if item.is_array()? {
            Ok(UntypedValue::Object)
        } else {
            convert(&item)
        }
    });
    items.collect::<Result<_>>().map(UntypedValue::Array)
}

//! JavaScript values of any type, taken as they are: whether they will do is decided elsewhere.

use napi::bindgen_prelude::{JsObjectValue, JsValue, Object, Unknown};
use napi::{Result, ValueType};

use crate::options::Given;

/// Takes a value as it is.
#[expect(clippy::ref_option, reason = "the records' fields are options")]
pub(super) fn given(value: &Option<Unknown<'_>>) -> Result<Given> {
    value.as_ref().map_or(Ok(Given::Absent), taken)
}

fn taken(value: &Unknown<'_>) -> Result<Given> {
    Ok(match value.get_type()? {
        ValueType::Undefined | ValueType::Null => Given::Absent,
        ValueType::Boolean => Given::Boolean(value.coerce_to_bool()?),
        ValueType::Number => Given::Number(value.coerce_to_number()?.get_double()?),
        ValueType::String => Given::Text(value.coerce_to_string()?.into_utf8()?.as_str()?.to_owned()),
        ValueType::Function => Given::Function,
        ValueType::Object if value.is_array()? => list(&value.coerce_to_object()?)?,
        ValueType::Object => Given::Object,
        _ => Given::Other,
    })
}

fn list(array: &Object<'_>) -> Result<Given> {
    let items = (0..array.get_array_length()?).map(|index| {
        // Lists of lists are nowhere allowed, so there is no need to look into them.
        let item: Unknown<'_> = array.get_element(index)?;
        if item.is_array()? {
            Ok(Given::Object)
        } else {
            taken(&item)
        }
    });
    items.collect::<Result<_>>().map(Given::List)
}

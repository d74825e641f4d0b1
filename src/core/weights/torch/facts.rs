//! What a checkpoint says beside its tensors: numbers and short texts at its top, for the listing.

use serde_json::Value as Json;

use super::graph::{Key, children};
use crate::core::weights::header::shown;
use crate::core::weights::pickle::{Heap, Id, Value};

/// Facts that are kept.
const MAX_FACTS: usize = 64;

/// `epoch = 12`, `best_acc = 0.93`…, in the file's order.
pub fn facts(heap: &Heap, root: Id) -> serde_json::Map<String, Json> {
    let mut facts = serde_json::Map::new();
    for (key, value) in children(heap, root) {
        if facts.len() == MAX_FACTS {
            break;
        }
        let Key::Value(_) = key else { continue };
        if let (Some(name), Some(value)) = (key.name(heap), plain(heap, value)) {
            facts.insert(shown(&name), value);
        }
    }
    facts
}

fn plain(heap: &Heap, id: Id) -> Option<Json> {
    Some(match heap.get(id) {
        Value::Bool(b) => b.into(),
        Value::Int(n) => n.into(),
        Value::Float(x) => number(x),
        Value::Str(span) => shown(&heap.text(span)).into(),
        Value::Object(_) => numpy_scalar(heap, id)?,
        _ => return None,
    })
}

/// JSON has no infinities; they are kept as texts.
fn number(x: f64) -> Json {
    serde_json::Number::from_f64(x).map_or_else(|| Json::String(x.to_string()), Json::Number)
}

/// `numpy.core.multiarray.scalar(dtype, bytes)`, as metrics often are.
fn numpy_scalar(heap: &Heap, id: Id) -> Option<Json> {
    let object = heap.object(id)?;
    if !heap.global(object.class)?.ends_with("multiarray.scalar") {
        return None;
    }
    let [dtype, data] = *heap.items(object.args) else { return None };
    let Value::Bytes(data) = heap.get(data) else { return None };
    let data = heap.bytes(data);
    let kind = heap.str(*heap.items(heap.object(dtype)?.args).first()?)?.into_owned();
    Some(match kind.as_str() {
        "f8" => number(f64::from_le_bytes(*data.first_chunk()?)),
        "f4" => number(f32::from_le_bytes(*data.first_chunk()?).into()),
        "f2" => number(half::f16::from_le_bytes(*data.first_chunk()?).into()),
        "i8" => i64::from_le_bytes(*data.first_chunk()?).into(),
        "i4" => i32::from_le_bytes(*data.first_chunk()?).into(),
        "u8" => u64::from_le_bytes(*data.first_chunk()?).into(),
        "u4" => u32::from_le_bytes(*data.first_chunk()?).into(),
        "b1" => (*data.first()? != 0).into(),
        _ => return None,
    })
}

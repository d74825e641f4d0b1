//! The index of a sharded file (`model.safetensors.index.json`, `pytorch_model.bin.index.json`): which tensor lies in which file beside it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};

use super::WeightsError;
use super::header::{shown, text_memory};
use super::source::{Budget, Source};
use super::trouble::Trouble;

/// Longest index, in bytes: a million tensors.
const MAX_INDEX: u64 = 256 << 20;
const FORMAT: &str = "index";

/// The files in the order of their first mention, each with its tensors.
pub(super) type Shards = Vec<(String, Vec<String>)>;

pub(super) fn read(source: &Source, budget: &Budget) -> Result<Shards, WeightsError> {
    let path = source.path();
    let damaged = |problem: String| Trouble::Damaged(problem).at(path, FORMAT);
    if source.size() > MAX_INDEX {
        return Err(WeightsError::not_weights(path, "is too long for an index of weights"));
    }
    let trouble = |e: Trouble| e.at(path, FORMAT);
    budget.take(source.size()).map_err(|e| trouble(e.into()))?;
    let mut bytes = vec![0; source.size() as usize];
    source.read_exact_at(&mut bytes, 0).map_err(|e| trouble(e.into()))?;
    let text = text_memory(&bytes);
    budget.take(text).map_err(|e| trouble(e.into()))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let found = IndexSeed(budget).deserialize(&mut json).and_then(|map| json.end().map(|()| map));
    let found = found.map_err(|e| damaged(format!("it does not parse: {}", shown(&e.to_string()))))?;
    let Some(map) = found else {
        return Err(WeightsError::not_weights(path, "is JSON without a weight_map, so no index of weights"));
    };
    drop(bytes);
    budget.give_back(source.size() + text);
    let mut shards: Shards = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (tensor, file) in map {
        if let Some(place) = places.get(&file) {
            shards[*place].1.push(tensor);
            continue;
        }
        check_name(&file).map_err(damaged)?;
        places.insert(file.clone(), shards.len());
        shards.push((file, vec![tensor]));
    }
    if shards.is_empty() {
        return Err(damaged("its weight_map is empty".into()));
    }
    for (_, tensors) in &mut shards {
        tensors.sort_unstable();
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(damaged(format!("tensor `{}` is listed twice", shown(&pair[0]))));
        }
    }
    Ok(shards)
}

/// A shard is a plain file name: the index must not lead out of its folder.
fn check_name(file: &str) -> Result<(), String> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name == file && !file.contains(['\\', '\0']) => Ok(()),
        _ => Err(format!("it names `{}`, which is not a file beside it", shown(file))),
    }
}

/// Memory for an entry until it is sorted by file, beside its texts.
const ENTRY: usize = 256;

struct IndexSeed<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for IndexSeed<'_> {
    type Value = Option<Vec<(String, String)>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for IndexSeed<'_> {
    type Value = Option<Vec<(String, String)>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "weight_map" {
                found = Some(map.next_value_seed(MapSeed(self.0))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct MapSeed<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for MapSeed<'_> {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MapSeed<'_> {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((tensor, file)) = map.next_entry::<String, String>()? {
            let memory = ENTRY + 2 * (tensor.len() + file.len());
            let spent = "it lists more than its size warrants";
            self.0.take(memory as u64).map_err(|_| A::Error::custom(spent))?;
            entries.push((tensor, file));
        }
        Ok(entries)
    }
}

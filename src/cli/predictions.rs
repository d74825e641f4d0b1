//! Predictions as files. The rows are in the order of the inputs; outputs are raw (logits, not probabilities).
//!
//! | format | content |
//! | --- | --- |
//! | csv | `name`, `class`, `label` (for classes), then `output_0`… |
//! | jsonl | an object a row: `name`, `class`, `label`, `output` |
//! | safetensors, npz | `output` `[N, outputs]` float32, `class` `[N]` int64; names and labels in the safetensors metadata |

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::error::CliError;
use crate::core::io::write_atomic;
use crate::core::tensor::{DType, HostTensor};
use crate::core::weights::write_safetensors;
use crate::session::Predictions;

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Tensors.
    Safetensors,
    /// NumPy's archive.
    Npz,
}

impl Format {
    /// By the file's name.
    pub fn of(path: &Path) -> Result<Self, CliError> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::Jsonl),
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npz") => Ok(Self::Npz),
            _ => Err(CliError::Refused(format!(
                "{}: the file's name must end in .csv, .jsonl, .safetensors or .npz",
                path.display()
            ))),
        }
    }
}

/// Writes the file, whole or not at all.
pub fn write(result: &Predictions, format: Format, path: &Path, force: bool) -> Result<(), CliError> {
    let bytes = match format {
        Format::Safetensors => {
            let mut metadata = BTreeMap::new();
            metadata.insert("names".to_owned(), serde_json::to_string(&result.names).map_err(CliError::failed)?);
            metadata.insert(
                "class_names".to_owned(),
                serde_json::to_string(&result.class_names).map_err(CliError::failed)?,
            );
            return Ok(write_safetensors(path, &tensors(result), &metadata, force)?);
        }
        Format::Csv => csv(result),
        Format::Jsonl => jsonl(result),
        Format::Npz => npz(result),
    };
    let unwritable = |e: std::io::Error| CliError::Failed(format!("cannot write {}: {e}", path.display()));
    write_atomic(path, &bytes.map_err(unwritable)?).map_err(unwritable)
}

fn classes(result: &Predictions) -> Option<Vec<i64>> {
    (!result.classes.is_empty()).then(|| result.classes.iter().map(|c| i64::try_from(*c).unwrap_or(i64::MAX)).collect())
}

fn tensors(result: &Predictions) -> Vec<HostTensor> {
    let class = classes(result).map(|classes| HostTensor {
        name: "class".to_owned(),
        dtype: DType::Int64,
        shape: vec![classes.len()],
        data: classes.iter().flat_map(|c| c.to_le_bytes()).collect(),
    });
    std::iter::once(result.outputs.clone()).chain(class).collect()
}

/// A row: its name, its class and the class's name where there are classes, its raw outputs.
struct Row<'a> {
    name: &'a str,
    class: Option<(usize, &'a str)>,
    output: &'a [f32],
}

/// Calls `each` for every row.
fn for_rows(result: &Predictions, mut each: impl FnMut(Row<'_>) -> std::io::Result<()>) -> std::io::Result<()> {
    let values = result.outputs.to_f32().unwrap_or_default();
    let width = result.outputs.shape.iter().skip(1).product::<usize>().max(1);
    for ((i, name), output) in result.names.iter().enumerate().zip(values.chunks_exact(width)) {
        let class = result.classes.get(i).map(|c| (*c, result.class_names.get(*c).map_or("", String::as_str)));
        each(Row { name, class, output })?;
    }
    Ok(())
}

fn csv(result: &Predictions) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let width = result.outputs.shape.iter().skip(1).product::<usize>().max(1);
    let with_classes = !result.classes.is_empty();
    let mut header = vec!["name".to_owned()];
    if with_classes {
        header.extend(["class".to_owned(), "label".to_owned()]);
    }
    header.extend((0..width).map(|i| format!("output_{i}")));
    writer.write_record(&header)?;
    for_rows(result, |row| {
        let mut cells = vec![row.name.to_owned()];
        if let Some((class, label)) = row.class {
            cells.extend([class.to_string(), label.to_owned()]);
        }
        cells.extend(row.output.iter().map(ToString::to_string));
        writer.write_record(&cells).map_err(std::io::Error::from)
    })?;
    writer.into_inner().map_err(|e| std::io::Error::other(e.to_string()))
}

fn jsonl(result: &Predictions) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for_rows(result, |row| {
        let mut object = serde_json::Map::new();
        object.insert("name".into(), row.name.into());
        if let Some((class, label)) = row.class {
            object.insert("class".into(), class.into());
            object.insert("label".into(), label.into());
        }
        object.insert("output".into(), row.output.into());
        serde_json::to_writer(&mut bytes, &object)?;
        bytes.push(b'\n');
        Ok(())
    })?;
    Ok(bytes)
}

fn npz(result: &Predictions) -> std::io::Result<Vec<u8>> {
    use npyz::WriterBuilder;
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    let shape: Vec<u64> = result.outputs.shape.iter().map(|n| *n as u64).collect();
    let mut output = archive.array("output", Default::default())?.default_dtype().shape(&shape).begin_nd()?;
    output.extend(result.outputs.to_f32().unwrap_or_default())?;
    output.finish()?;
    if let Some(classes) = classes(result) {
        let mut class =
            archive.array("class", Default::default())?.default_dtype().shape(&[classes.len() as u64]).begin_nd()?;
        class.extend(classes)?;
        class.finish()?;
    }
    archive.zip_writer().flush()?;
    drop(archive);
    Ok(bytes.into_inner())
}

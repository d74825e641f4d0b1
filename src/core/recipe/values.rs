//! Keys of a recipe in its file's text: read as they were written, and set one by one; everything else, comments and order
//! included, stays as it was.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// Keys in a recipe's text.
#[derive(Debug, Clone)]
pub struct Written(DocumentMut);

impl Written {
    /// Reads the text.
    ///
    /// # Errors
    /// Where it is not valid TOML, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        text.trim_start_matches('\u{feff}').parse().map(Self).map_err(|e: toml_edit::TomlError| e.message().to_owned())
    }

    /// What stands behind a dotted key, as one types it into a form: a text without its quotes, a number as it was written,
    /// a list's elements set apart by commas.
    pub fn plain(&self, key: &str) -> Option<String> {
        let mut parts = key.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |item, part| item.as_table_like()?.get(part))?.as_value().map(plain)
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.value().clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        // Without the comment behind it.
        other => other.clone().decorated("", "").to_string(),
    }
}

/// The text with these dotted keys set to TOML values, or without them where they are `None`.
///
/// # Errors
/// Where the text or a value is not valid TOML, or a key's parent is not a table, in words.
pub fn with_values(text: &str, values: &[(&str, Option<String>)]) -> Result<String, String> {
    let Written(mut document) = Written::read(text)?;
    for (key, value) in values {
        let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
        let fresh = !section.is_empty() && document.get(section).is_none();
        let empty = document.is_empty();
        let table: &mut dyn TableLike = if section.is_empty() {
            document.as_table_mut()
        } else {
            let entry = document.entry(section).or_insert_with(|| {
                let mut table = Table::new();
                table.decor_mut().set_prefix(if empty { "" } else { "\n" });
                Item::Table(table)
            });
            entry.as_table_like_mut().ok_or_else(|| format!("`{section}` is not a table"))?
        };
        match value {
            None => {
                table.remove(last);
            }
            Some(value) => {
                let mut value: Value = value.parse().map_err(|_| format!("`{value}` is no TOML value"))?;
                match table.get_mut(last).and_then(Item::as_value_mut) {
                    Some(old) => {
                        *value.decor_mut() = old.decor().clone();
                        *old = value;
                    }
                    None => {
                        table.insert(last, Item::Value(value));
                    }
                }
            }
        }
        // Nothing to set: no heading for it.
        if fresh && value.is_none() {
            document.remove(section);
        }
    }
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let written = format!("{mark}{document}");
    Ok(if text.contains("\r\n") { written.replace("\r\n", "\n").replace('\n', "\r\n") } else { written })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\nname = \"a\" # its name\n\n[train]\nepochs = 3 # few\n# wide\nbatch_size = 32\n\
                        devices = [\"cpu\", \"cuda:0\"]\n\n[optimizer] # o\nlr = 3e-3\n";

    #[test]
    fn values_are_read_as_they_were_written() {
        let written = Written::read(TEXT).unwrap();
        let plain = |key: &str| written.plain(key);
        assert_eq!(plain("name").as_deref(), Some("a"));
        assert_eq!(plain("optimizer.lr").as_deref(), Some("3e-3"));
        assert_eq!(plain("train.epochs").as_deref(), Some("3"));
        assert_eq!(plain("train.devices").as_deref(), Some("cpu, cuda:0"));
        assert_eq!((plain("train.steps"), plain("model.arch"), plain("train")), (None, None, None));
        assert!(Written::read("[train").is_err());
    }

    #[test]
    fn what_is_not_set_stays_as_it_is() {
        let set = |values: &[(&str, &str)]| {
            let values: Vec<(&str, Option<String>)> =
                values.iter().map(|(k, v)| (*k, Some((*v).to_owned()).filter(|v| !v.is_empty()))).collect();
            with_values(TEXT, &values).unwrap()
        };
        assert_eq!(set(&[]), TEXT);
        assert_eq!(set(&[("train.epochs", "7")]), TEXT.replace("epochs = 3", "epochs = 7"));
        assert_eq!(set(&[("train.steps", "9"), ("train.steps", "")]), TEXT);
        assert_eq!(set(&[("model.arch", "\"mlp\"")]), format!("{TEXT}\n[model]\narch = \"mlp\"\n"));
        assert_eq!(set(&[("model.width", "")]), TEXT, "no heading for nothing");
        let crlf = TEXT.replace('\n', "\r\n");
        let epochs = [("train.epochs", Some("7".to_owned()))];
        assert_eq!(with_values(&crlf, &epochs).unwrap(), crlf.replace("epochs = 3", "epochs = 7"));
        assert_eq!(with_values("train = { epochs = 1 } # x\n", &epochs).unwrap(), "train = { epochs = 7 } # x\n");
        assert!(with_values("train = 3", &epochs).unwrap_err().contains("not a table"));
    }
}

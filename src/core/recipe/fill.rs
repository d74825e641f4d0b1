//! The template with some keys set, comments and all.

use super::template;

/// Where comments stand behind a value.
const COMMENT: usize = 34;

/// The template's text with these dotted keys set to TOML values; `None` comments a key out. A key that the template
/// does not have is passed over.
pub fn filled(values: &[(&str, Option<String>)]) -> String {
    let mut section = "";
    let mut out = String::new();
    for line in template().lines() {
        let body = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = body.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            section = name.0;
        }
        let key = body
            .split_once(" = ")
            .map(|(key, _)| key)
            .filter(|k| k.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let dotted = key.map(|key| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
        let set = dotted.and_then(|dotted| values.iter().find(|(k, _)| *k == dotted));
        match (set, key) {
            (Some((_, Some(value))), Some(key)) => {
                let comment = body.split_once('#').map_or(String::new(), |(_, words)| format!(" #{words}"));
                let set = format!("{key} = {value}");
                out.push_str(format!("{set:<width$}{comment}", width = COMMENT - 1).trim_end());
            }
            (Some((_, None)), _) if !line.starts_with('#') => out.push_str(&format!("# {line}")),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::Recipe;
    use std::path::Path;

    #[test]
    fn nothing_set_is_the_template() {
        assert_eq!(filled(&[]), template());
    }

    #[test]
    fn keys_are_set_in_their_own_section_and_comments_stay() {
        let text = filled(&[
            ("name", Some("\"mine\"".to_owned())),
            ("model.num_classes", Some("5".to_owned())),
            ("optimizer.lr", Some("0.5".to_owned())),
            ("model.width", None),
        ]);
        let recipe = Recipe::parse(&text, "x.toml", Path::new(""), &[]).unwrap();
        assert_eq!(
            (recipe.name.as_deref(), recipe.model.num_classes, recipe.optimizer.lr),
            (Some("mine"), Some(5), 0.5)
        );
        assert!(text.contains("\n# width = 16 "), "{text}");
        assert!(text.contains("lr = 0.5                          # the base learning rate"), "{text}");
        assert_eq!(text.lines().count(), template().lines().count());
    }

    #[test]
    fn every_value_of_the_template_can_be_set() {
        for (key, value) in [
            ("data.path", "\"photos\""),
            ("data.classes", "[0, 1]"),
            ("train.devices", "[\"cpu\"]"),
            ("model.weights", "\"a.pth\""),
        ] {
            let text = filled(&[(key, Some(value.to_owned()))]);
            let last = key.rsplit('.').next().unwrap();
            assert!(text.lines().any(|l| l.starts_with(&format!("{last} = {value}"))), "{key}");
        }
    }
}

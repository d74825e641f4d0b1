//! Changing a recipe's freeze rules in its file's text: everything else, comments and order included, stays as it was written.

use toml_edit::{Array, DocumentMut, Item, Table, Value};

/// Rules longer than this in one line are written one a line.
const WIDE: usize = 110;

/// The text with `freeze.rules` set to these. Comments beside rules that stay, and those of rules that go, are kept.
///
/// # Errors
/// Where the text is not valid TOML, or `freeze` and `rules` are not a table and a list, in words.
pub fn with_freeze_rules(text: &str, rules: &[String]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    let fresh = document.get("freeze").is_none();
    let freeze = document.entry("freeze").or_insert_with(|| Item::Table(Table::new()));
    let freeze = freeze.as_table_like_mut().ok_or("`freeze` is not a table")?;
    match freeze.get_mut("rules") {
        None => {
            freeze.insert("rules", Item::Value(Value::Array(array(None, rules))));
        }
        Some(item) => {
            let old = item.as_array().ok_or("`freeze.rules` is not a list")?;
            let new = array(Some(old), rules);
            *item = Item::Value(Value::Array(new));
        }
    }
    if fresh && let Some(table) = document.get_mut("freeze").and_then(Item::as_table_mut) {
        table.decor_mut().set_prefix(if text.trim().is_empty() { "" } else { "\n" });
    }
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let written = format!("{mark}{}", document.to_string().trim_start_matches('\u{feff}'));
    let written = if text.contains("\r\n") { written.replace("\r\n", "\n").replace('\n', "\r\n") } else { written };
    match is_as_meant(text, &written, rules) {
        true => Ok(written),
        false => Err("the recipe's text cannot be changed without changing more than the rules".to_owned()),
    }
}

/// The list, on the old one's lines where there is one.
fn array(old: Option<&Array>, rules: &[String]) -> Array {
    let mut array = Array::new();
    let empty = Array::new();
    let from = old.unwrap_or(&empty);
    let text = |v: &Value| v.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
    let is_tall =
        from.iter().any(|v| text(v).contains('\n')) || from.trailing().as_str().is_some_and(|t| t.contains('\n'));
    let tall = is_tall || rules.iter().map(|r| r.len() + 4).sum::<usize>() > WIDE;
    let indent = from.iter().map(&text).find_map(|p| p.rsplit_once('\n').map(|(_, i)| i.to_owned()));
    let indent = indent.unwrap_or_else(|| "  ".to_owned());
    let mut olds = from.iter().collect::<Vec<_>>().into_iter();
    // Comments of rules that go: they stand before what follows.
    let mut comments = String::new();
    let mut trailing = from.trailing().as_str().unwrap_or_default().to_owned();
    for rule in rules {
        let stays = olds.as_slice().iter().any(|v| v.as_str() == Some(rule));
        let mut value = None;
        while stays && value.is_none() {
            let Some(next) = olds.next() else { break };
            match next.as_str() == Some(rule) {
                true => value = Some(next.clone()),
                false => comments.push_str(&comment(&text(next))),
            }
        }
        let fresh = value.is_none();
        // A comment beside the last rule stays beside it when others follow.
        if fresh
            && olds.len() == 0
            && let Some((beside, rest)) = trailing.split_once('\n').filter(|(b, _)| b.contains('#'))
        {
            comments.push_str(beside);
            trailing = format!("\n{rest}");
        }
        let mut value = value.unwrap_or_else(|| Value::from(rule.as_str()));
        let prefix = match fresh {
            false if !tall || text(&value).contains('\n') => text(&value),
            _ if tall => format!("\n{indent}"),
            _ if array.is_empty() => String::new(),
            _ => " ".to_owned(),
        };
        value.decor_mut().set_prefix(std::mem::take(&mut comments) + &prefix);
        if fresh {
            value.decor_mut().set_suffix("");
        }
        array.push_formatted(value);
    }
    olds.for_each(|v| comments.push_str(&comment(&text(v))));
    let trailing = if tall && !trailing.contains('\n') { "\n" } else { &trailing };
    let bare = rules.is_empty() && comments.is_empty() && !trailing.contains('#');
    array.set_trailing(comments + if bare { "" } else { trailing });
    array.set_trailing_comma(tall && !rules.is_empty());
    if let Some(old) = old {
        *array.decor_mut() = old.decor().clone();
    }
    array
}

/// What stands before an element, if a comment is in it, up to the comment's end.
fn comment(prefix: &str) -> String {
    match prefix.rfind('#') {
        Some(at) => prefix[..at + prefix[at..].find('\n').unwrap_or(prefix.len() - at)].to_owned(),
        None => String::new(),
    }
}

/// Whether nothing but the rules has changed, and they are what was wanted.
fn is_as_meant(before: &str, after: &str, rules: &[String]) -> bool {
    let read = |text: &str| {
        let mut table: toml::Table = text.trim_start_matches('\u{feff}').parse().ok()?;
        let rules = match table.get_mut("freeze") {
            Some(toml::Value::Table(freeze)) => freeze.remove("rules"),
            _ => None,
        };
        if table.get("freeze").and_then(toml::Value::as_table).is_some_and(toml::Table::is_empty) {
            table.remove("freeze");
        }
        Some((table, rules))
    };
    let (Some((was, _)), Some((is, found))) = (read(before), read(after)) else { return false };
    let wanted = toml::Value::Array(rules.iter().cloned().map(toml::Value::String).collect());
    was == is && found == Some(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str, rules: &[&str]) -> String {
        with_freeze_rules(text, &rules.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn comments_and_order_stay_as_they_were_written() {
        let text = crate::core::recipe::template();
        let written = with(text, &["freeze **", "train fc"]);
        let old = "rules = []                        # in order";
        assert!(text.contains(old));
        assert_eq!(
            written,
            text.replace(old, "rules = [\"freeze **\", \"train fc\"]                        # in order")
        );
        assert_eq!(with(&written, &[]), text);
    }

    #[test]
    fn a_list_over_several_lines_keeps_the_comments_of_its_rules() {
        let text = "[freeze]\nrules = [\n    \"freeze **\", # all\n    # the block that is new\n    \"train layer4\",\n    \
                    \"train fc\", # the head\n] # end\npatience = 3\n";
        let written = with(text, &["freeze **", "train fc", "freeze =fc.bias"]);
        assert_eq!(
            written,
            "[freeze]\nrules = [\n    \"freeze **\", # all\n    # the block that is new\n    \"train fc\", # the head\n    \
             \"freeze =fc.bias\",\n] # end\npatience = 3\n"
        );
    }

    #[test]
    fn a_recipe_without_rules_gets_them_in_every_way_of_writing_the_table() {
        for (text, out) in [
            ("[model]\narch = \"mlp\"\n", "[model]\narch = \"mlp\"\n\n[freeze]\nrules = [\"freeze fc\"]\n"),
            ("[freeze]\npatience = 2 # x\n", "[freeze]\npatience = 2 # x\nrules = [\"freeze fc\"]\n"),
            ("freeze.rules = ['train a'] # y\n", "freeze.rules = [\"freeze fc\"] # y\n"),
            ("freeze = { rules = [] }\n", "freeze = { rules = [\"freeze fc\"] }\n"),
            ("", "[freeze]\nrules = [\"freeze fc\"]\n"),
            (
                "[model] # m\r\narch = \"mlp\"\r\n",
                "[model] # m\r\narch = \"mlp\"\r\n\r\n[freeze]\r\nrules = [\"freeze fc\"]\r\n",
            ),
        ] {
            assert_eq!(with(text, &["freeze fc"]), out, "{text}");
        }
        assert!(with_freeze_rules("freeze = 3", &[]).unwrap_err().contains("not a table"));
        assert!(with_freeze_rules("[freeze]\nrules = \"x\"", &[]).unwrap_err().contains("not a list"));
        assert!(with_freeze_rules("[freeze", &[]).is_err());
    }

    proptest! {
        #[test]
        fn only_the_rules_change(old in proptest::collection::vec(0..8_usize, 0..6), new in proptest::collection::vec(0..8_usize, 0..6),
            tall in any::<bool>()) {
            let rules = |of: &[usize]| of.iter().map(|i| format!("freeze layer{i}")).collect::<Vec<_>>();
            let lines: Vec<String> = rules(&old).iter().enumerate().map(|(i, r)| if tall {
                format!("\n  # before {i}\n  \"{r}\", # after {i}")
            } else { format!("\"{r}\", ") }).collect();
            let end = if tall { "\n" } else { "" };
            let text = format!("a = 1 # one\n[freeze]\nrules = [{}{end}] # list\nb = 2\n", lines.concat());
            let written = with_freeze_rules(&text, &rules(&new)).unwrap();
            prop_assert!(written.contains("# list") && written.contains("# one"));
            if tall {
                for i in 0..old.len() {
                    prop_assert!(written.contains(&format!("# before {i}")) && written.contains(&format!("# after {i}")), "{}", written);
                }
            }
            // And back again.
            prop_assert!(with_freeze_rules(&written, &rules(&old)).is_ok());
        }
    }
}

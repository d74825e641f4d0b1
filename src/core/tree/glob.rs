//! Globs over dotted names, the one pattern language of freeze rules, drops, renames and optimizer groups.
//!
//! `*` is any characters within a segment, `?` one of them, `**` any characters across segments. As in shells and `.gitignore`, `**.` at the
//! beginning and `.**.` in the middle may also stand for no segment at all (`**.bias` matches `bias`), while `.**` at the end needs
//! at least one: `layer4.**` is what lies below `layer4`.

mod search;

use search::Search;

/// Whether a pattern has wildcards; without them it is a plain name.
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether the pattern matches the whole dotted name.
pub fn glob_match(pattern: &str, dotted: &str) -> bool {
    if !is_glob(pattern) {
        return pattern == dotted;
    }
    if pattern == "**" {
        return true;
    }
    // The literal ends decide most names of a large tree without the general search.
    let head = pattern.find(['*', '?']).unwrap_or(pattern.len());
    if !dotted.as_bytes().starts_with(&pattern.as_bytes()[..head]) {
        return false;
    }
    let tail = pattern.rfind(['*', '?']).map_or(0, |i| i + 1);
    let mut literal_tail = &pattern.as_bytes()[tail..];
    if let [b'.', rest @ ..] = literal_tail {
        literal_tail = rest; // `**.bias` also matches `bias`
    }
    if !dotted.as_bytes().ends_with(literal_tail) {
        return false;
    }
    let at_start = head == 0 || pattern.as_bytes()[head - 1] == b'.';
    let (pattern, name) = (&pattern.as_bytes()[head..], &dotted.as_bytes()[head..]);
    try_out(pattern, name, at_start, &mut STEPS.clone()).unwrap_or_else(|| Search::new(pattern, name).matches(at_start))
}

/// Whether the pattern matches the name or one of the modules that it lies in: what a pattern means as a freeze rule.
pub fn glob_covers(pattern: &str, dotted: &str) -> bool {
    if !is_glob(pattern) {
        return dotted.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    }
    glob_match(pattern, dotted)
        || dotted.match_indices('.').any(|(i, _)| dotted.get(..i).is_some_and(|path| glob_match(pattern, path)))
}

/// Renames one name by a rule; `None` where the rule does not match.
///
/// Without wildcards, `from` is a leading path (whole segments) that `to` replaces; an empty `from` puts `to` in front.
/// With wildcards, `from` matches the whole name, and each wildcard in `to` stands for what the one in the same place matched
/// (`**.gamma` -> `**.weight`): the shortest, the first wildcard before the second.
pub fn rename_by_glob(from: &str, to: &str, name: &str) -> Option<String> {
    if !is_glob(from) {
        let rest = if from.is_empty() { name } else { name.strip_prefix(from)? };
        let whole = from.is_empty() || rest.is_empty() || rest.starts_with('.') || from.ends_with('.');
        if !whole {
            return None;
        }
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        let to = to.strip_suffix('.').unwrap_or(to);
        return Some(match (to.is_empty(), rest.is_empty()) {
            (true, _) => rest.to_owned(),
            (false, true) => to.to_owned(),
            (false, false) => format!("{to}.{rest}"),
        });
    }
    let mut captured = Search::new(from.as_bytes(), name.as_bytes()).captures()?.into_iter();
    let mut out = Vec::with_capacity(name.len());
    let mut rest = to.as_bytes();
    while let Some(&c) = rest.first() {
        if c == b'*' || c == b'?' {
            rest = &rest[if rest.starts_with(b"**") { 2 } else { 1 }..];
            let text = captured.next().unwrap_or_default();
            if text.is_empty() && rest.first() == Some(&b'.') && (out.is_empty() || out.last() == Some(&b'.')) {
                rest = &rest[1..]; // `**.` that stood for no segment
            }
            out.extend_from_slice(text);
        } else {
            out.push(c);
            rest = &rest[1..];
        }
    }
    String::from_utf8(out).ok()
}

/// Steps after which trying out is given up: patterns that people write need fewer.
const STEPS: u32 = 1024;

/// Backtracking: the quickest for most patterns, and exponential for some; `None` when the steps are used up, which bound its depth too.
fn try_out(pattern: &[u8], name: &[u8], at_start: bool, steps: &mut u32) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    let Some(&first) = pattern.first() else { return Some(name.is_empty()) };
    match first {
        b'*' if pattern.starts_with(b"**") => {
            let rest = &pattern[2..];
            let dot = rest.first() == Some(&b'.');
            if at_start && dot && try_out(&rest[1..], name, true, steps)? {
                return Some(true);
            }
            let literal = rest.first().filter(|c| !matches!(c, b'*' | b'?'));
            for n in usize::from(at_start && (rest.is_empty() || dot))..=name.len() {
                let fits = literal.is_none_or(|c| name.get(n) == Some(c));
                if fits && try_out(rest, &name[n..], n > 0 && name[n - 1] == b'.', steps)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        b'*' => {
            let segment = name.iter().position(|&c| c == b'.').unwrap_or(name.len());
            for n in 0..=segment {
                if try_out(&pattern[1..], &name[n..], false, steps)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        b'?' => match name.first().map(|c| char_width(*c)) {
            Some(width) if name[0] != b'.' && width <= name.len() => {
                try_out(&pattern[1..], &name[width..], false, steps)
            }
            _ => Some(false),
        },
        c if name.first() == Some(&c) => try_out(&pattern[1..], &name[1..], c == b'.', steps),
        _ => Some(false),
    }
}

/// Bytes of the character that begins so.
fn char_width(lead: u8) -> usize {
    match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_to_match_agree_and_each_wildcard_stands_for_something(
            pattern in "([ab.é]|[*]|[*][*]|[?]){0,7}", name in "[ab.é]{0,8}", start: bool,
        ) {
            let (p, n) = (pattern.as_bytes(), name.as_bytes());
            let tried = try_out(p, n, start, &mut u32::MAX.clone()).unwrap();
            prop_assert_eq!(Search::new(p, n).matches(start), tried);
            let captured = Search::new(p, n).captures();
            prop_assert_eq!(captured.is_some(), Search::new(p, n).matches(true));
            if let Some(captured) = captured {
                prop_assert_eq!(captured.len(), Search::new(p, n).wildcards());
            }
        }
    }

    #[test]
    fn wildcards_keep_to_their_reach() {
        let yes = [
            ("fc", "fc"),
            ("layer*.0", "layer12.0"),
            ("*.weight", "fc.weight"),
            ("**.weight", "layer1.0.conv1.weight"),
            ("**.bias", "bias"),
            ("layer4.**", "layer4.0.conv1"),
            ("layer1.**.bn1", "layer1.bn1"),
            ("layer1.**.bn1", "layer1.0.x.bn1"),
            ("layer?", "layer4"),
            ("**", "anything.at.all"),
            ("**", ""),
            ("lay**", "layer1.0.conv1"),
            ("**bn**", "layer1.0.bn1.weight"),
            ("*", "fc"),
            ("layer*.*.conv?.weight", "layer1.0.conv2.weight"),
            ("?", "é"),
            ("a.**", "a."),
        ];
        for (pattern, name) in yes.iter().take(16) {
            assert!(glob_match(pattern, name), "{pattern} should match {name}");
        }
        let no = [
            ("fc", "fc.weight"),
            ("*", "fc.weight"),
            ("*.weight", "layer1.conv1.weight"),
            ("layer4.**", "layer4"),
            ("layer4.**", "layer40.0"),
            ("layer?", "layer"),
            ("layer?.0", "layer1.10"),
            ("**.weight", "weights"),
            ("**.weight", "fcweight"),
            ("layer1.**.bn1", "layer1.xbn1"),
            ("a?b", "a.b"),
        ];
        for (pattern, name) in no {
            assert!(!glob_match(pattern, name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn many_wildcards_on_a_long_name_take_no_time_and_no_stack() {
        // Each `*` used to try all that the ones before it had tried.
        let name = "a".repeat(200);
        assert!(!glob_match(&format!("{}b?", "*a".repeat(40)), &format!("{name}c")));
        assert!(!glob_match(&format!("{}c*d", "**a".repeat(40)), &format!("{name}.d")));
        assert_eq!(rename_by_glob(&format!("{}b", "*a".repeat(40)), "x", &name), None);
        let long = "a".repeat(1 << 20);
        assert!(glob_match(&format!("?{long}"), &format!("b{long}")));
        assert!(glob_match(&"*".repeat(1 << 20), "layer1.0"));
    }

    #[test]
    fn a_wildcard_stands_for_the_shortest_that_it_can() {
        let renamed = |from, to, name| rename_by_glob(from, to, name);
        assert_eq!(renamed("a**b*", "*/*", "a.b.b").as_deref(), Some(".b./"));
        assert_eq!(renamed("**.a.**", "**/**", "a.a.b").as_deref(), Some("/a.b"));
        assert_eq!(renamed("*a*", "*/*", "xaya").as_deref(), Some("x/ya"));
        assert_eq!(renamed("x.**.y.?", "**,?", "x.y.é").as_deref(), Some(",é"));
    }

    #[test]
    fn a_pattern_covers_what_lies_below_the_modules_it_names() {
        assert!(glob_covers("layer1", "layer1.0.conv1.weight"));
        assert!(glob_covers("layer?.0", "layer1.0.conv1.weight"));
        assert!(glob_covers("**.bn1", "layer1.0.bn1.weight"));
        assert!(!glob_covers("layer1", "layer10.0.conv1.weight"));
        assert!(!glob_covers("layer?.1", "layer1.0.conv1.weight"));
    }

    #[test]
    fn renames_replace_leading_paths_or_captures() {
        let renamed = |from, to, name| rename_by_glob(from, to, name);
        assert_eq!(renamed("backbone", "encoder", "backbone.conv1.weight").as_deref(), Some("encoder.conv1.weight"));
        assert_eq!(renamed("backbone", "encoder", "backbone2.conv1.weight"), None);
        assert_eq!(renamed("backbone.", "", "backbone.conv1.weight").as_deref(), Some("conv1.weight"));
        assert_eq!(renamed("", "model", "fc.bias").as_deref(), Some("model.fc.bias"));
        assert_eq!(renamed("fc.weight", "head.weight", "fc.weight").as_deref(), Some("head.weight"));
        assert_eq!(renamed("**.gamma", "**.weight", "encoder.norm.gamma").as_deref(), Some("encoder.norm.weight"));
        assert_eq!(renamed("**.gamma", "**.weight", "gamma").as_deref(), Some("weight"));
        assert_eq!(renamed("block*.**", "layer*.0.**", "block3.conv.bias").as_deref(), Some("layer3.0.conv.bias"));
        assert_eq!(renamed("**.gamma", "**.weight", "encoder.norm.beta"), None);
    }
}

//! Globs over dotted names, the one pattern language of freeze rules, drops, renames and optimizer groups.
//!
//! `*` is any characters within a segment, `?` one of them, `**` any characters across segments. As in shells and `.gitignore`, `**.` at the
//! beginning and `.**.` in the middle may also stand for no segment at all (`**.bias` matches `bias`), while `.**` at the end needs
//! at least one: `layer4.**` is what lies below `layer4`.

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
    search(&pattern.as_bytes()[head..], &dotted.as_bytes()[head..], at_start, &mut None)
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
/// (`**.gamma` -> `**.weight`).
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
    let mut captured = Some(Vec::new());
    if !search(from.as_bytes(), name.as_bytes(), true, &mut captured) {
        return None;
    }
    let mut captured = captured.unwrap_or_default().into_iter();
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

/// Backtracking matcher over bytes (UTF-8 compares bytewise; `.` and the wildcards are ASCII). `at_start`: a segment begins here.
/// Fills `captured` with what each wildcard stood for, where asked.
fn search<'n>(pattern: &[u8], name: &'n [u8], at_start: bool, captured: &mut Option<Vec<&'n [u8]>>) -> bool {
    let Some(&first) = pattern.first() else { return name.is_empty() };
    let depth = captured.as_ref().map_or(0, Vec::len);
    let mut attempt = |rest: &[u8], taken: usize, start: bool| {
        if let Some(c) = captured {
            c.truncate(depth);
            c.push(&name[..taken]);
        }
        search(rest, &name[taken..], start, captured)
    };
    match first {
        b'*' if pattern.starts_with(b"**") => {
            let rest = &pattern[2..];
            if at_start && rest.first() == Some(&b'.') && attempt(&rest[1..], 0, true) {
                return true;
            }
            let least = usize::from(at_start && (rest.is_empty() || rest.first() == Some(&b'.')));
            (least..=name.len()).any(|n| {
                let next_literal = rest.first().filter(|c| !matches!(c, b'*' | b'?'));
                next_literal.is_none_or(|c| name.get(n) == Some(c)) && attempt(rest, n, n > 0 && name[n - 1] == b'.')
            })
        }
        b'*' => {
            let segment = name.iter().position(|&c| c == b'.').unwrap_or(name.len());
            (0..=segment).any(|n| attempt(&pattern[1..], n, false))
        }
        b'?' => {
            let width = name.first().map_or(0, |&c| char_width(c));
            width > 0 && name[0] != b'.' && width <= name.len() && attempt(&pattern[1..], width, false)
        }
        c => name.first() == Some(&c) && search(&pattern[1..], &name[1..], c == b'.', captured),
    }
}

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
    use super::*;

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

//! The layering of DESIGN section 2, checked on the sources: imports point downwards only, and each foreign crate has
//! one home.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

/// Layers from the bottom up, with the layers each may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("engine", &["core"]),
    ("session", &["core", "engine"]),
    ("app", &["core", "session"]),
    ("tui", &["app", "core", "session"]),
    ("cli", &["app", "core", "engine", "session", "tui"]),
];

/// The home of a foreign crate: the layer, and the places in it where the crate may not be named.
struct Home {
    krate: &'static str,
    layer: &'static str,
    but_not: &'static [&'static str],
}

const PLAIN_RUST: &[&str] =
    &["engine/data", "engine/telemetry", "engine/train", "engine/fake", "engine/api.rs", "engine/seat.rs"];

/// What reads devices is in one folder.
const BESIDE_TELEMETRY: &[&str] = &[
    "engine/api.rs",
    "engine/archive.rs",
    "engine/data",
    "engine/device",
    "engine/fake",
    "engine/ffi",
    "engine/mod.rs",
    "engine/nn",
    "engine/optim",
    "engine/parallel",
    "engine/script",
    "engine/seat.rs",
    "engine/torch",
    "engine/train",
    "engine/zoo",
];

const HOMES: &[Home] = &[
    Home { krate: "nvml_wrapper", layer: "engine", but_not: BESIDE_TELEMETRY },
    Home { krate: "sysinfo", layer: "engine", but_not: BESIDE_TELEMETRY },
    Home { krate: "tch", layer: "engine", but_not: PLAIN_RUST },
    Home { krate: "torch_sys", layer: "engine", but_not: PLAIN_RUST },
    Home { krate: "ratatui", layer: "tui", but_not: &[] },
    Home { krate: "crossterm", layer: "tui", but_not: &[] },
    Home { krate: "clap", layer: "cli", but_not: &[] },
];

/// Removes comments, strings and character literals, so that only code is scanned.
fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        let rest = &chars[i..];
        let starts = |s: &str| s.chars().enumerate().all(|(k, c)| rest.get(k) == Some(&c));
        if starts("//") {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if starts("/*") {
            i += 2;
            while i + 1 < chars.len() && !(chars[i] == '*' && chars[i + 1] == '/') {
                i += 1;
            }
            i += 2;
        } else if let Some(hashes) = raw_string(rest) {
            let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let from = i + rest.iter().position(|c| *c == '"').unwrap() + 1;
            let tail: String = chars[from..].iter().collect();
            i = tail.find(&end).map_or(chars.len(), |b| from + tail[..b].chars().count() + end.chars().count());
        } else if chars[i] == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if chars[i] == '\'' && (rest.get(2) == Some(&'\'') || rest.get(1) == Some(&'\\')) {
            i += if rest.get(1) == Some(&'\\') { 3 } else { 2 };
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else {
            out.push(chars[i]);
            i += 1;
        }
    }
    out
}

/// Number of hashes where a raw string begins.
fn raw_string(rest: &[char]) -> Option<usize> {
    let r = usize::from(rest.first() == Some(&'b'));
    if rest.get(r) != Some(&'r') {
        return None;
    }
    let hashes = rest[r + 1..].iter().take_while(|c| **c == '#').count();
    (rest.get(r + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// What the code names below the crate's root: `crate::core::…`, groups in braces taken apart.
fn crate_layers(code: &str) -> Vec<String> {
    let flat = code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::");
    let mut found = Vec::new();
    for root in ["crate::", "frostline::"] {
        for (at, _) in flat.match_indices(root) {
            if flat[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &flat[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.push(head(rest)),
            }
        }
    }
    found
}

fn head(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// First segments of the members of `{a::b, c::{d, e}, f}`.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![head(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(head(&group[at + 1..])),
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

/// Whether the code names a foreign crate: `clap::…` from the root, or `use clap`, `extern crate clap`.
fn names_crate(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(at, _)| {
        let before = &code[..at];
        let after = code[at + krate.len()..].trim_start();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(is_word) || code[at + krate.len()..].starts_with(is_word) {
            return false;
        }
        let above = before.trim_end();
        // `a::clap::b` is a module of somebody else's; `::clap::b` is the crate.
        let below_other = above.strip_suffix("::").is_some_and(|a| a.trim_end().ends_with(is_word));
        let imported = matches!(above.split_whitespace().next_back(), Some("use" | "crate"));
        !below_other && (after.starts_with("::") || imported)
    })
}

/// How many modules a file lies below its layer: `super` may climb so far.
fn depth(path: &str, code: &str) -> usize {
    let folders = path.matches('/').count().saturating_sub(1);
    let inline = usize::from(code.contains("mod tests {"));
    folders + usize::from(!path.ends_with("mod.rs")) + inline
}

/// What is wrong with one file, whose path is relative to `src`.
fn problems(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let layer = path.split('/').next().unwrap_or("").trim_end_matches(".rs");
    let mut out = Vec::new();
    if let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) {
        for named in crate_layers(&code) {
            let is_layer = LAYERS.iter().any(|(name, _)| *name == named);
            if is_layer && named != layer && !allowed.contains(&named.as_str()) {
                out.push(format!("src/{path}: {layer} names crate::{named}, which is not below it"));
            }
        }
        let longest = (1..9).take_while(|n| code.contains(&"super::".repeat(*n))).count();
        if longest > depth(path, &code) {
            out.push(format!("src/{path}: `super::` climbs out of {layer}"));
        }
    }
    for home in HOMES {
        let at_home = layer == home.layer && !home.but_not.iter().any(|p| path.starts_with(p));
        if !at_home && names_crate(&code, home.krate) {
            out.push(format!("src/{path}: names {}, whose home is src/{}", home.krate, home.layer));
        }
    }
    out
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn imports_point_downwards_and_foreign_crates_stay_at_home() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were found: {}", files.len());
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        all.extend(problems(&path, &text));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_module_of_the_library_is_a_layer() {
    let lib = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: Vec<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut layers: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    layers.sort_unstable();
    assert_eq!(modules, layers, "a new folder of src needs a line in LAYERS");
}

#[test]
fn the_scanner_finds_what_it_is_for() {
    let bad: &[(&str, &str)] = &[
        ("core/run/mod.rs", "use crate::engine::Batch;"),
        ("core/run/mod.rs", "use crate::{core::run, session::Session};"),
        ("core/tree.rs", "fn f() { crate::cli::main(); }"),
        ("core/tree.rs", "use crate::\n    engine::api;"),
        ("core/a/b.rs", "use super::super::super::engine::Batch;"),
        ("core/mod.rs", "use super::engine::Batch;"),
        ("engine/data/mod.rs", "use tch::Tensor;"),
        ("engine/train/mod.rs", "fn f(t: tch::Tensor) {}"),
        ("engine/train/mod.rs", "use sysinfo::System;"),
        ("session/mod.rs", "use nvml_wrapper::Nvml;"),
        ("engine/api.rs", "type T = ::tch::Tensor;"),
        ("engine/nn/mod.rs", "use crate::session::Session;"),
        ("session/mod.rs", "use crate::tui::run;"),
        ("session/mod.rs", "use tch;"),
        ("app/model.rs", "use crate::engine::Engine;"),
        ("app/model.rs", "use crossterm::event::KeyCode;"),
        ("app/model.rs", "use ratatui as r;"),
        ("tui/mod.rs", "use crate::engine::Engine;"),
        ("tui/mod.rs", "use clap::Parser;"),
        ("tui/mod.rs", "use {tch::Tensor};"),
        ("cli/mod.rs", "use ratatui::Frame;"),
        ("main.rs", "use clap::Parser;"),
    ];
    for (path, text) in bad {
        assert!(!problems(path, text).is_empty(), "{path}: {text}");
    }
}

#[test]
fn the_scanner_lets_pass_what_is_allowed() {
    let good: &[(&str, &str)] = &[
        ("core/run/mod.rs", "use crate::core::recipe::Recipe; // never crate::engine::Batch"),
        ("core/run/mod.rs", "/* tch::Tensor */ const T: &str = \"use tch::Tensor; crate::cli::main\";"),
        ("core/run/mod.rs", "const T: &str = r#\"crate::tui \"quoted\" \"#; const C: char = '\"'; use std::fmt;"),
        ("core/run/mod.rs", "const C: [char; 2] = ['\\'', '\\n']; use std::fmt;"),
        ("core/a/b.rs", "use super::super::a::x;"),
        ("engine/nn/linear.rs", "use tch::Tensor; use crate::core::tree::Tree;"),
        ("session/mod.rs", "use crate::{core::{run, event}, engine::Engine};"),
        ("app/model.rs", "use crate::session::Session; fn clap_hands() {} struct Tch;"),
        ("tui/mod.rs", "use ratatui::Frame; use crate::app::Model; fn f<'a>(x: &'a str, c: char) -> bool { c == 'a' }"),
        ("cli/mod.rs", "use clap::Parser; use crate::tui; use crate::engine::default_engine;"),
        ("main.rs", "fn main() { frostline::cli::main() }"),
    ];
    for (path, text) in good {
        assert_eq!(problems(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

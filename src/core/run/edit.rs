//! What a user may change about a run, live or not: its name, tags and note.

use super::{RunDir, RunMeta, StoreError};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEdit {
    /// Another name.
    Rename(String),
    /// Other tags.
    Tags(TagEdit),
    /// Another note; an empty one takes it away.
    Note(String),
}

/// A change of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagEdit {
    /// These and no others.
    Set(Vec<String>),
    /// Some more, some less.
    Change {
        /// Added at the end, where they are not there already.
        add: Vec<String>,
        /// Taken off.
        remove: Vec<String>,
    },
}

impl RunEdit {
    /// Changes what `run.toml` holds; a refusal, in words, leaves it as it was.
    pub fn apply(&self, meta: &mut RunMeta) -> Result<(), StoreError> {
        match self {
            Self::Rename(name) => meta.name = checked_name(name)?,
            Self::Note(note) => meta.note = note.trim().to_owned(),
            Self::Tags(edit) => {
                let wrong = |e: String| StoreError::Refused(format!("run {}: {e}", meta.id));
                meta.tags = edit.apply(&meta.tags).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

impl RunDir {
    /// Changes what `run.toml` holds of name, tags and note. `run.toml` is read anew for it, so that a change which
    /// somebody made in the meantime stays.
    pub fn edit(&self, edit: &RunEdit) -> Result<RunMeta, StoreError> {
        let mut meta = self.meta()?;
        edit.apply(&mut meta)?;
        self.save_meta(&meta)?;
        Ok(meta)
    }
}

/// Characters that a name may have.
const LONGEST: usize = 100;

/// A name as a listing shows it: a recipe may give a longer one than a user may.
pub fn short_name(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// The name without blanks around it, if a run can have it: what means something in `RUN` and `RUN@step` cannot.
pub fn checked_name(name: &str) -> Result<String, StoreError> {
    let name = name.trim();
    let problem = match name {
        "" => "is empty",
        "last" => "means the newest run",
        _ if name.chars().count() > LONGEST => "has more than 100 characters",
        _ if name.contains(['@', '/']) || name.chars().any(char::is_control) => {
            "holds a character with a meaning of its own (@, / or a control character)"
        }
        _ => return Ok(name.to_owned()),
    };
    Err(StoreError::Refused(format!("the name {:?} {problem}; choose another", short_name(name))))
}

impl TagEdit {
    /// From a line: `+good -old` adds and takes off, a plain list (`good, tried`) replaces. Tags are set apart by blanks
    /// or commas; one with a blank in it stands in quotes.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let refuse = |words: &str| Err(StoreError::Refused(words.to_owned()));
        let words = words(text)?;
        let sign = |word: &&(char, String)| word.0 != ' ';
        if !words.iter().any(|w| sign(&w)) {
            return Ok(Self::Set(words.into_iter().map(|(_, tag)| tag).collect()));
        }
        if let Some((_, tag)) = words.iter().find(|w| !sign(w)) {
            return refuse(&format!("`{tag}` has no sign: write +{tag} to add it, or a list without any sign"));
        }
        let of = |sign: char| words.iter().filter(|(s, _)| *s == sign).map(|(_, tag)| tag.clone()).collect::<Vec<_>>();
        let (add, remove) = (of('+'), of('-'));
        if words.iter().any(|(_, tag)| tag.is_empty()) {
            return refuse("a tag is to follow the sign, as in +good");
        }
        if let Some(tag) = add.iter().find(|t| remove.contains(t)) {
            return refuse(&format!("`{tag}` is both added and taken off"));
        }
        Ok(Self::Change { add, remove })
    }

    /// The tags after the change, each once.
    pub fn apply(&self, tags: &[String]) -> Result<Vec<String>, String> {
        let (kept, new): (Vec<&String>, &[String]) = match self {
            Self::Set(new) => (Vec::new(), new),
            Self::Change { add, remove } => {
                if let Some(missing) = remove.iter().find(|t| !tags.contains(t)) {
                    let has =
                        if tags.is_empty() { "it has none".to_owned() } else { format!("it has: {}", line(tags)) };
                    return Err(format!("no tag `{missing}` to take off; {has}"));
                }
                (tags.iter().filter(|t| !remove.contains(t)).collect(), add)
            }
        };
        let mut after: Vec<String> = Vec::new();
        for tag in kept.into_iter().chain(new) {
            if !after.contains(tag) {
                after.push(tag.clone());
            }
        }
        Ok(after)
    }
}

/// Tags as a line that [`TagEdit::parse`] reads back.
pub fn line(tags: &[String]) -> String {
    let plain = |t: &str| !t.contains([' ', ',', '"']) && !t.starts_with(['+', '-']);
    let quoted = |t: &String| if plain(t) { t.clone() } else { format!("\"{}\"", t.replace('"', "")) };
    tags.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// Words with the sign before them, or a blank where there is none.
fn words(text: &str) -> Result<Vec<(char, String)>, StoreError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some(first) = rest.chars().next() {
        let sign = if matches!(first, '+' | '-') { first } else { ' ' };
        let body = rest.strip_prefix(sign).unwrap_or(rest);
        let (word, after) = match body.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once('"')
                .ok_or_else(|| StoreError::Refused("a quote is opened and not closed".to_owned()))?,
            None => body.split_at(body.find([' ', ',']).unwrap_or(body.len())),
        };
        if !word.trim().is_empty() || sign != ' ' {
            words.push((sign, word.trim().to_owned()));
        }
        rest = after.trim_start_matches([' ', ',']);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(of: &[&str]) -> Vec<String> {
        of.iter().map(|t| (*t).to_owned()).collect()
    }

    fn after(text: &str, before: &[&str]) -> Result<Vec<String>, String> {
        TagEdit::parse(text).map_err(|e| e.to_string())?.apply(&tags(before))
    }

    #[test]
    fn signs_add_and_take_off_and_a_plain_list_replaces() {
        assert_eq!(after("+good -old", &["old", "b"]).unwrap(), tags(&["b", "good"]));
        assert_eq!(after("good, tried  b,b", &["old"]).unwrap(), tags(&["good", "tried", "b"]));
        assert_eq!(after("", &["old"]).unwrap(), tags(&[]));
        assert_eq!(after("+b", &["b"]).unwrap(), tags(&["b"]));
        assert_eq!(
            after("\"two words\", +1", &[]).unwrap_err(),
            "`two words` has no sign: write +two words to add it, or a list without any sign"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, words) in [
            ("-gone", "no tag `gone` to take off; it has: a, b"),
            ("+a b", "`b` has no sign"),
            ("+", "a tag is to follow"),
            ("+a -a", "both added and taken off"),
            ("\"open", "not closed"),
        ] {
            let error = after(text, &["a", "b"]).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_of_tags_reads_back() {
        let all = tags(&["plain", "two words", "-odd", "a,b"]);
        assert_eq!(after(&line(&all), &[]).unwrap(), all);
    }

    #[test]
    fn a_name_cannot_be_one_that_means_something_else() {
        assert_eq!(checked_name(" flowers head ").unwrap(), "flowers head");
        for name in ["", "  ", "last", "a@b", "a/b", "a\nb"] {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_has_an_end() {
        assert_eq!(checked_name(&"é".repeat(100)).unwrap().chars().count(), 100);
        let error = checked_name(&"é".repeat(5_000)).unwrap_err().to_string();
        assert!(error.contains("more than 100 characters") && error.len() < 400, "{error}");
        assert_eq!(short_name("a"), "a");
    }
}

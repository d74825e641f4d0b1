//! `data.classes`: which classes are kept, and their new numbers.

use super::error::DataError;
use crate::core::recipe::ClassRef;

/// The source's numbers of the kept classes, in their new order; all of them when nothing is asked for.
pub(super) fn select(asked: &[ClassRef], names: &[String]) -> Result<Vec<usize>, DataError> {
    if asked.is_empty() {
        return Ok((0..names.len()).collect());
    }
    let mut kept = Vec::with_capacity(asked.len());
    for class in asked {
        let number = find(class, names)?;
        if kept.contains(&number) {
            return Err(DataError::Refused(format!(
                "data.classes: class {number} ({}) is named twice; name each class once",
                names[number]
            )));
        }
        kept.push(number);
    }
    Ok(kept)
}

fn find(class: &ClassRef, names: &[String]) -> Result<usize, DataError> {
    let found = match class {
        ClassRef::Index(number) => (*number < names.len()).then_some(*number),
        ClassRef::Name(name) => names.iter().position(|n| n == name),
    };
    found.ok_or_else(|| {
        let asked = match class {
            ClassRef::Index(number) => number.to_string(),
            ClassRef::Name(name) => format!("\"{name}\""),
        };
        DataError::Refused(format!("data.classes: there is no class {asked}; the data has {}", listing(names)))
    })
}

/// `0 = cat, 1 = dog … (12 classes)`
pub(super) fn listing(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = names.iter().take(SHOWN).enumerate();
    let mut words: Vec<String> =
        shown.map(|(i, n)| if *n == i.to_string() { n.clone() } else { format!("{i} = {n}") }).collect();
    if names.len() > SHOWN {
        words.push(format!("… ({} classes)", names.len()));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["cat", "dog", "owl"].map(String::from).to_vec()
    }

    #[test]
    fn classes_are_renumbered_in_the_given_order() {
        let asked = [ClassRef::Name("owl".into()), ClassRef::Index(0)];
        assert_eq!(select(&asked, &names()).unwrap(), [2, 0]);
        assert_eq!(select(&[], &names()).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_class_that_is_not_there_is_refused_with_those_that_are() {
        for class in [ClassRef::Index(3), ClassRef::Name("emu".into())] {
            let words = select(&[class], &names()).unwrap_err().to_string();
            assert!(words.contains("0 = cat, 1 = dog, 2 = owl"), "{words}");
        }
    }

    #[test]
    fn a_class_named_twice_is_refused() {
        let words = select(&[ClassRef::Index(1), ClassRef::Name("dog".into())], &names()).unwrap_err().to_string();
        assert!(words.contains("twice"), "{words}");
    }
}

//! `CUDA_VISIBLE_DEVICES`: which GPUs a process sees, and as which numbers.
//!
//! CUDA reads a list of numbers, or of UUIDs or beginnings of them, and stops at the first entry that names nothing; one that is
//! named twice leaves none at all. Source: CUDA C++ Programming Guide, "CUDA Environment Variables", and what PyTorch makes of it
//! (torch/cuda/__init__.py, `_parse_visible_devices`).

/// Which GPUs (by their place among all, given by UUID) are `cuda:0`, `cuda:1`, … `None` stands for an unset variable.
pub fn visible(variable: Option<&str>, uuids: &[String]) -> Vec<usize> {
    let Some(list) = variable else { return (0..uuids.len()).collect() };
    let mut seen = Vec::new();
    let by_uuid = list.trim_start().starts_with("GPU-");
    for entry in list.split(',').map(str::trim) {
        let index = if by_uuid { by_prefix(entry, uuids) } else { number(entry).filter(|i| *i < uuids.len()) };
        let Some(index) = index else { break };
        if seen.contains(&index) {
            return Vec::new();
        }
        seen.push(index);
    }
    seen
}

/// The number at the beginning, as C's `strtoul` reads it; what follows is not looked at.
fn number(entry: &str) -> Option<usize> {
    let digits = entry.strip_prefix('+').unwrap_or(entry);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// The one GPU whose UUID begins so.
fn by_prefix(entry: &str, uuids: &[String]) -> Option<usize> {
    let mut found = uuids.iter().enumerate().filter(|(_, uuid)| entry.len() > 4 && uuid.starts_with(entry));
    let (index, _) = found.next()?;
    found.next().is_none().then_some(index)
}

/// What a user should know about the variable, in words: GPUs that it hides.
pub fn hidden_words(variable: Option<&str>, all: usize, seen: usize) -> Option<String> {
    let list = variable?;
    if list.trim_start().starts_with("MIG-") {
        return Some(format!("CUDA_VISIBLE_DEVICES = {list:?} names slices of GPUs (MIG), which are not watched"));
    }
    match all.saturating_sub(seen) {
        0 => None,
        hidden if seen == 0 => Some(format!("CUDA_VISIBLE_DEVICES = {list:?} hides {}", gpus(hidden, true))),
        hidden => Some(format!("CUDA_VISIBLE_DEVICES = {list:?} hides {} of {all}", gpus(hidden, false))),
    }
}

fn gpus(n: usize, every: bool) -> String {
    match (n, every) {
        (1, true) => "the GPU".to_owned(),
        (n, true) => format!("all {n} GPUs"),
        (1, false) => "1 GPU".to_owned(),
        (n, false) => format!("{n} GPUs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variable: &str) -> Vec<usize> {
        let uuids = ["GPU-8f3a1111", "GPU-8f3b2222", "GPU-1c9d3333", "GPU-77aa4444"].map(str::to_owned);
        visible(Some(variable), &uuids)
    }

    #[test]
    fn numbers_choose_and_order() {
        assert_eq!(of("2,0"), [2, 0]);
        assert_eq!(of(" 1 , 3 "), [1, 3]);
        assert_eq!(of("1gpu2,2ampere"), [1, 2], "what follows a number is not looked at");
        assert_eq!(visible(None, &["GPU-a".to_owned(), "GPU-b".to_owned()]), [0, 1]);
    }

    #[test]
    fn the_first_entry_that_names_nothing_ends_the_list() {
        assert_eq!(of("0,9,1"), [0]);
        assert_eq!(of("0,-1,1"), [0]);
        assert_eq!(of("0,,1"), [0]);
        for none in ["", "-1", " ", "NoDevFiles", "none", "99999999999999999999999"] {
            assert_eq!(of(none), Vec::<usize>::new(), "{none:?}");
        }
    }

    #[test]
    fn a_gpu_that_is_named_twice_leaves_none() {
        assert_eq!(of("1,1"), Vec::<usize>::new());
        assert_eq!(of("GPU-1c,GPU-1c9d"), Vec::<usize>::new());
    }

    #[test]
    fn uuids_may_be_cut_short_but_not_so_that_two_are_meant() {
        assert_eq!(of("GPU-1c,GPU-8f3b2222"), [2, 1]);
        assert_eq!(of("GPU-77,GPU-8f3,GPU-1c"), [3], "two begin so");
        assert_eq!(of("GPU-"), Vec::<usize>::new());
        assert_eq!(of("GPU-1c,0"), [2], "numbers and UUIDs do not mix");
        assert_eq!(of("0,GPU-1c"), [0]);
    }

    #[test]
    fn what_is_hidden_is_said() {
        assert_eq!(hidden_words(None, 4, 4), None);
        assert_eq!(hidden_words(Some("0,1,2,3"), 4, 4), None);
        assert_eq!(hidden_words(Some("0"), 4, 1).unwrap(), "CUDA_VISIBLE_DEVICES = \"0\" hides 3 GPUs of 4");
        assert_eq!(hidden_words(Some(""), 1, 0).unwrap(), "CUDA_VISIBLE_DEVICES = \"\" hides the GPU");
        assert_eq!(hidden_words(Some("-1"), 8, 0).unwrap(), "CUDA_VISIBLE_DEVICES = \"-1\" hides all 8 GPUs");
        assert!(hidden_words(Some("MIG-1234"), 1, 0).unwrap().contains("MIG"));
    }
}

//! How large the gradients of a step were, by node of the layer tree.

use std::collections::HashMap;

use crate::core::event::Metrics;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// Optimizer steps done.
    pub step: u64,
    norms: HashMap<String, f64>,
}

impl Gradients {
    /// From the norm of each parameter. That of a module is over all its parameters.
    pub fn new(step: u64, of: &Metrics) -> Self {
        let mut squares: HashMap<String, f64> = HashMap::new();
        for (name, norm) in of {
            let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
            for end in std::iter::once(0).chain(ends) {
                *squares.entry(name[..end].to_owned()).or_default() += norm * norm;
            }
        }
        let norms = squares.into_iter().map(|(path, sum)| (path, sum.sqrt())).collect();
        Self { step, norms }
    }

    /// The norm over what lies under a path, the empty one being the whole model; `None` where nothing got a gradient.
    pub fn of(&self, path: &str) -> Option<f64> {
        self.norms.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_norm_is_that_of_all_its_gradients() {
        let of = [("a.b.weight", 3.0), ("a.bias", 4.0), ("c.weight", 12.0), ("d", f64::NAN)];
        let mut of: Metrics = of.into_iter().map(|(name, norm)| (name.to_owned(), norm)).collect();
        let bad = Gradients::new(7, &of);
        assert!(bad.of("").is_some_and(f64::is_nan) && bad.of("d").is_some_and(f64::is_nan));
        of.remove("d");
        let seen = Gradients::new(7, &of);
        let all = ["a.b.weight", "a.b", "a", "c", "", "b"].map(|path| seen.of(path));
        assert_eq!(all, [Some(3.0), Some(3.0), Some(5.0), Some(12.0), Some(13.0), None]);
    }
}

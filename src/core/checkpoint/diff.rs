//! Drift: how far the tensors of one checkpoint moved from those of another, by tensor and by module.
//!
//! Pure; the caller loads both. "Relative" is to the first of the two.

use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::core::tensor::{DType, HostTensor};

/// What differs between two sets of tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// In the first set's order; those only in the second follow.
    pub tensors: Vec<TensorDrift>,
    /// Each module with everything below it, in the order of the tensors; the whole, with an empty path, comes first.
    pub modules: Vec<ModuleDrift>,
}

/// How one tensor moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorDrift {
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// Whether every bit is the same.
    pub bit_equal: bool,
    /// `|after - before| / |before|` in the L2 norm; none where `before` is zero throughout, shapes differ, or a value is not finite.
    pub relative_l2: Option<f64>,
    /// Largest absolute difference of an element; none where shapes differ or a value is not finite.
    pub max_abs: Option<f64>,
}

/// What happened to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The same bits.
    Equal,
    /// Other values.
    Changed,
    /// Another element type; the values are compared all the same.
    Retyped,
    /// Another shape.
    Reshaped,
    /// Only the first has it.
    Removed,
    /// Only the second has it.
    Added,
}

/// How a module moved, with everything below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModuleDrift {
    /// Dotted path; empty for the whole.
    pub path: String,
    /// Tensors in it.
    pub tensors: usize,
    /// Those that are the same bit by bit.
    pub bit_equal: usize,
    /// As for a tensor, over all its elements that can be compared. Integers, which count (`num_batches_tracked`), are left out
    /// where there are others.
    pub relative_l2: Option<f64>,
    /// As for a tensor, over the same elements.
    pub max_abs: Option<f64>,
}

/// Compares two sets of tensors by name.
pub fn diff(before: &[HostTensor], after: &[HostTensor]) -> Drift {
    let mut parts = Parts::default();
    parts.add(before, after);
    parts.finish()
}

/// A comparison part by part, for sets that do not fit into memory together.
#[derive(Debug, Default)]
pub struct Parts(Vec<(String, Change, Option<Sums>)>);

impl Parts {
    /// Compares these; a tensor that both sets have must be in both.
    pub fn add(&mut self, before: &[HostTensor], after: &[HostTensor]) {
        self.0.extend(sums(before, after));
    }

    /// What differs between all that was added.
    pub fn finish(mut self) -> Drift {
        // In the first set's order; those only in the second follow.
        self.0.sort_by_key(|(_, change, _)| *change == Change::Added);
        let modules = by_module(&self.0);
        let tensors = self.0.into_iter().map(|(name, change, sums)| TensorDrift {
            name,
            change,
            bit_equal: change == Change::Equal,
            relative_l2: sums.and_then(Sums::relative),
            max_abs: sums.and_then(Sums::largest),
        });
        Drift { tensors: tensors.collect(), modules }
    }
}

fn sums(before: &[HostTensor], after: &[HostTensor]) -> Vec<(String, Change, Option<Sums>)> {
    let second: HashMap<&str, &HostTensor> = after.iter().map(|t| (t.name.as_str(), t)).collect();
    let first: HashMap<&str, ()> = before.iter().map(|t| (t.name.as_str(), ())).collect();
    let mut sums: Vec<(String, Change, Option<Sums>)> = before
        .iter()
        .map(|a| match second.get(a.name.as_str()) {
            None => (a.name.clone(), Change::Removed, None),
            Some(b) if a.shape != b.shape => (a.name.clone(), Change::Reshaped, None),
            Some(b) => (a.name.clone(), change(a, b), Some(compare(a, b))),
        })
        .collect();
    let added = after.iter().filter(|b| !first.contains_key(b.name.as_str()));
    sums.extend(added.map(|b| (b.name.clone(), Change::Added, None)));
    sums
}

fn change(a: &HostTensor, b: &HostTensor) -> Change {
    match (a.dtype == b.dtype, a.data == b.data) {
        (true, true) => Change::Equal,
        (true, false) => Change::Changed,
        (false, _) => Change::Retyped,
    }
}

fn by_module(tensors: &[(String, Change, Option<Sums>)]) -> Vec<ModuleDrift> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut modules: Vec<(ModuleDrift, Sums)> = Vec::new();
    for (name, change, sums) in tensors {
        let owners = std::iter::once("").chain(name.match_indices('.').map(|(i, _)| &name[..i]));
        for path in owners {
            let place = *places.entry(path).or_insert_with(|| {
                modules.push((ModuleDrift { path: path.to_owned(), ..ModuleDrift::default() }, Sums::default()));
                modules.len() - 1
            });
            if let Some((module, total)) = modules.get_mut(place) {
                module.tensors += 1;
                module.bit_equal += usize::from(*change == Change::Equal);
                sums.iter().for_each(|s| total.join(s));
            }
        }
    }
    let finish = |(module, sums): (ModuleDrift, Sums)| ModuleDrift {
        relative_l2: sums.relative(),
        max_abs: sums.largest(),
        ..module
    };
    modules.into_iter().map(finish).collect()
}

/// Sums of squares over elements.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    difference: f64,
    before: f64,
    max_abs: f64,
    /// Some element is not finite and not the same in both.
    broken: bool,
    /// What was added was not integers alone.
    floats: bool,
}

impl Sums {
    /// A counter that went from 45 to 90 must not look like weights that moved by half.
    fn join(&mut self, other: &Self) {
        match (self.floats, other.floats) {
            (true, false) => {}
            (false, true) => *self = *other,
            _ => self.add(other),
        }
    }

    fn add(&mut self, other: &Self) {
        self.difference += other.difference;
        self.before += other.before;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.broken |= other.broken;
    }

    fn relative(self) -> Option<f64> {
        let relative = if self.difference == 0.0 { 0.0 } else { (self.difference / self.before).sqrt() };
        (!self.broken && relative.is_finite()).then_some(relative)
    }

    fn largest(self) -> Option<f64> {
        (!self.broken).then_some(self.max_abs)
    }
}

fn compare(a: &HostTensor, b: &HostTensor) -> Sums {
    let floats = matches!(a.dtype, DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64);
    let mut sums = Sums { floats, ..Sums::default() };
    // Same bits may still hold infinities, whose difference is no number: those elements count as unmoved.
    each_value(a, |i, x| {
        let y = value(b, i);
        let difference = if x == y || x.is_nan() && y.is_nan() { 0.0 } else { y - x };
        sums.broken |= !difference.is_finite();
        sums.difference += difference * difference;
        sums.max_abs = sums.max_abs.max(difference.abs());
        if x.is_finite() {
            sums.before += x * x;
        }
    });
    sums
}

/// Visits a tensor's elements as numbers, with their places.
pub(crate) fn each_value(t: &HostTensor, mut visit: impl FnMut(usize, f64)) {
    let count = t.data.len() / t.dtype.size();
    (0..count).for_each(|i| visit(i, value(t, i)));
}

/// An element as a number; NaN behind the end.
fn value(t: &HostTensor, i: usize) -> f64 {
    fn at<const N: usize>(data: &[u8], i: usize) -> Option<[u8; N]> {
        data.as_chunks::<N>().0.get(i).copied()
    }
    let d = t.data.as_slice();
    let value = match t.dtype {
        DType::Bool | DType::Uint8 => d.get(i).copied().map(f64::from),
        DType::Int8 => at(d, i).map(|b| f64::from(i8::from_le_bytes(b))),
        DType::Int16 => at(d, i).map(|b| f64::from(i16::from_le_bytes(b))),
        DType::Int32 => at(d, i).map(|b| f64::from(i32::from_le_bytes(b))),
        DType::Int64 => at(d, i).map(|b| i64::from_le_bytes(b) as f64),
        DType::Float16 => at(d, i).map(|b| f16::from_le_bytes(b).to_f64()),
        DType::Bfloat16 => at(d, i).map(|b| bf16::from_le_bytes(b).to_f64()),
        DType::Float32 => at(d, i).map(|b| f64::from(f32::from_le_bytes(b))),
        DType::Float64 => at(d, i).map(f64::from_le_bytes),
    };
    value.unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::weights::cast;

    fn t(name: &str, values: &[f32]) -> HostTensor {
        HostTensor::from_f32(name, &[values.len()], values)
    }

    #[test]
    fn drift_is_measured_by_tensor_and_by_module() {
        let before = [t("a.w", &[3.0, 4.0]), t("a.b", &[1.0]), t("b.0.w", &[0.0, 0.0]), t("gone", &[1.0])];
        let after = [t("a.w", &[3.0, 4.5]), t("a.b", &[1.0]), t("b.0.w", &[0.0, 2.0]), t("new", &[1.0])];
        let drift = diff(&before, &after);
        let seen: Vec<_> =
            drift.tensors.iter().map(|t| (t.name.as_str(), t.change, t.relative_l2, t.max_abs)).collect();
        assert_eq!(
            seen,
            [
                ("a.w", Change::Changed, Some(0.1), Some(0.5)),
                ("a.b", Change::Equal, Some(0.0), Some(0.0)),
                ("b.0.w", Change::Changed, None, Some(2.0)),
                ("gone", Change::Removed, None, None),
                ("new", Change::Added, None, None),
            ]
        );
        let modules: Vec<_> =
            drift.modules.iter().map(|m| (m.path.as_str(), m.tensors, m.bit_equal, m.max_abs)).collect();
        assert_eq!(
            modules,
            [("", 5, 1, Some(2.0)), ("a", 2, 1, Some(0.5)), ("b", 1, 0, Some(2.0)), ("b.0", 1, 0, Some(2.0))]
        );
        let a = drift.modules[1].relative_l2.unwrap();
        assert!((a - (0.25f64 / 26.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn counters_do_not_count_in_modules_that_have_weights() {
        let count = |name: &str, n: i64| HostTensor {
            name: name.to_owned(),
            dtype: DType::Int64,
            shape: Vec::new(),
            data: n.to_le_bytes().to_vec(),
        };
        let before = [count("bn.num_batches_tracked", 45), t("bn.weight", &[3.0, 4.0]), count("only.n", 2)];
        let after = [count("bn.num_batches_tracked", 90), t("bn.weight", &[3.0, 4.5]), count("only.n", 3)];
        let drift = diff(&before, &after);
        let seen: Vec<_> = drift.modules.iter().map(|m| (m.path.as_str(), m.relative_l2, m.max_abs)).collect();
        assert_eq!(
            seen,
            [("", Some(0.1), Some(0.5)), ("bn", Some(0.1), Some(0.5)), ("only", Some(0.5), Some(1.0))],
            "what is integers alone is compared all the same"
        );
        assert_eq!((drift.tensors[0].relative_l2, drift.tensors[0].bit_equal), (Some(1.0), false));
        assert_eq!(drift.modules[1].bit_equal, 0);
    }

    #[test]
    fn one_bit_is_a_change_even_where_the_values_are_equal() {
        let drift = diff(&[t("z", &[0.0])], &[t("z", &[-0.0])]);
        assert_eq!((drift.tensors[0].change, drift.tensors[0].relative_l2), (Change::Changed, Some(0.0)));
        assert!(!drift.tensors[0].bit_equal);
    }

    #[test]
    fn what_cannot_be_measured_is_said_to_differ_without_a_number() {
        let reshaped = HostTensor { shape: vec![1, 2], ..t("x", &[1.0, 2.0]) };
        let drift = diff(&[t("x", &[1.0, 2.0])], &[reshaped]);
        assert_eq!((drift.tensors[0].change, drift.tensors[0].max_abs), (Change::Reshaped, None));

        let drift = diff(&[t("x", &[1.0, f32::INFINITY])], &[t("x", &[2.0, f32::INFINITY])]);
        assert_eq!(drift.tensors[0].relative_l2, Some(1.0), "an infinity that stays is no drift");
        let drift = diff(&[t("x", &[1.0])], &[t("x", &[f32::NAN])]);
        assert_eq!((drift.tensors[0].relative_l2, drift.tensors[0].max_abs), (None, None));

        let x = t("x", &[1.0, 0.5]);
        let drift = diff(std::slice::from_ref(&x), &[cast(x.clone(), DType::Bfloat16).unwrap()]);
        assert_eq!((drift.tensors[0].change, drift.tensors[0].max_abs), (Change::Retyped, Some(0.0)));
    }
}

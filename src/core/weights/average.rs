//! The mean of several checkpoints' weights ("model soup", stochastic weight averaging after the fact).

use std::collections::HashMap;

use super::WeightsError;
use super::cast::cast;
use super::header::shown;
use crate::core::tensor::{DType, HostTensor};

/// Sums state dicts one after the other, so that only one of them and the sum are in memory.
///
/// Floating-point tensors are summed in float64 and rounded once; integers (`num_batches_tracked`) are those of the first.
#[derive(Debug, Default)]
pub struct Average {
    label: String,
    first: Vec<HostTensor>,
    sums: Vec<Vec<f64>>,
    count: u32,
}

impl Average {
    /// Adds a state dict; `label` names it in messages. Names, shapes and types must be those of the first.
    pub fn add(&mut self, label: &str, tensors: Vec<HostTensor>) -> Result<(), WeightsError> {
        if self.count == 0 {
            label.clone_into(&mut self.label);
            self.sums = tensors.iter().map(|t| values(t).map(Option::unwrap_or_default)).collect::<Result<_, _>>()?;
            self.first = tensors;
            self.count = 1;
            return Ok(());
        }
        let differ = |name: &str, how: String| WeightsError::NotAlike {
            first: self.label.clone(),
            second: label.to_owned(),
            tensor: shown(name),
            how,
        };
        let known: HashMap<&str, usize> = self.first.iter().enumerate().map(|(i, t)| (t.name.as_str(), i)).collect();
        if let Some(missing) = self.first.iter().find(|t| !tensors.iter().any(|other| other.name == t.name)) {
            return Err(differ(&missing.name, "is in the first alone".to_owned()));
        }
        let mut add = Vec::with_capacity(tensors.len());
        for tensor in &tensors {
            let Some(&i) = known.get(tensor.name.as_str()) else {
                return Err(differ(&tensor.name, "is in the second alone".to_owned()));
            };
            let own = &self.first[i];
            if (own.dtype, &own.shape) != (tensor.dtype, &tensor.shape) {
                let (a, b) = (&own.shape, &tensor.shape);
                return Err(differ(&tensor.name, format!("is {} {a:?} and {} {b:?}", own.dtype, tensor.dtype)));
            }
            add.push((i, values(tensor)?.unwrap_or_default()));
        }
        for (i, values) in add {
            self.sums[i].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        self.count += 1;
        Ok(())
    }

    /// The mean, in the order and with the types of the first.
    pub fn finish(self) -> Result<Vec<HostTensor>, WeightsError> {
        let count = f64::from(self.count.max(1));
        let mean = |(tensor, sums): (HostTensor, Vec<f64>)| {
            if !is_float(tensor.dtype) {
                return Ok(tensor);
            }
            let data = sums.iter().flat_map(|sum| (sum / count).to_le_bytes()).collect();
            let to = tensor.dtype;
            cast(HostTensor { dtype: DType::Float64, data, ..tensor }, to)
        };
        self.first.into_iter().zip(self.sums).map(mean).collect()
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64)
}

/// A floating-point tensor's values.
fn values(tensor: &HostTensor) -> Result<Option<Vec<f64>>, WeightsError> {
    if !is_float(tensor.dtype) {
        return Ok(None);
    }
    let wide = cast(tensor.clone(), DType::Float64)?;
    Ok(Some(wide.data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(values: &[f32], tracked: i64) -> Vec<HostTensor> {
        let counter = HostTensor {
            name: "bn.num_batches_tracked".into(),
            dtype: DType::Int64,
            shape: vec![],
            data: tracked.to_le_bytes().to_vec(),
        };
        vec![HostTensor::from_f32("w", &[values.len()], values), counter]
    }

    #[test]
    fn the_mean_is_rounded_once_and_counters_are_the_firsts() {
        let mut average = Average::default();
        for (i, part) in [[0.1f32, 1e8], [0.2, 1.0], [0.4, 2.0]].iter().enumerate() {
            average.add(&format!("c{i}"), state(part, 10 + i as i64)).unwrap();
        }
        let mean = average.finish().unwrap();
        let exact = (f64::from(0.1f32) + f64::from(0.2f32) + f64::from(0.4f32)) / 3.0;
        assert_eq!(mean[0].to_f32().unwrap(), [exact as f32, ((1e8f64 + 3.0) / 3.0) as f32]);
        assert_eq!(mean[1].data, 10i64.to_le_bytes());
    }

    #[test]
    fn one_alone_stays_bit_for_bit() {
        let mut average = Average::default();
        average.add("c", state(&[0.1, f32::MIN_POSITIVE, -0.0], 3)).unwrap();
        assert_eq!(average.finish().unwrap(), state(&[0.1, f32::MIN_POSITIVE, -0.0], 3));
    }

    #[test]
    fn what_is_not_alike_is_named() {
        let with = |other: Vec<HostTensor>| {
            let mut average = Average::default();
            average.add("a@1", state(&[1.0, 2.0], 0)).unwrap();
            average.add("b@2", other).unwrap_err().to_string()
        };
        let error = with(state(&[1.0], 0));
        assert!(error.contains("a@1 and b@2") && error.contains("`w` is float32 [2] and float32 [1]"), "{error}");
        assert!(with(state(&[1.0, 2.0], 0)[..1].to_vec()).contains("first alone"));
        let mut more = state(&[1.0, 2.0], 0);
        more.push(HostTensor::from_f32("x", &[1], &[0.0]));
        assert!(with(more).contains("`x` is in the second alone"));
    }
}

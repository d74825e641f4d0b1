//! Safe functions over `kept.cpp`: the values of many small tensors, kept and put back.

use tch::Tensor;

use super::{Result, TensorList, check, ptr, raw};

/// Room for the values of some tensors.
#[derive(Debug)]
pub struct Kept(raw::K);

// SAFETY: tensors, used by one thread at a time (&mut, or & on what changes nothing of its own).
unsafe impl Send for Kept {}

impl Kept {
    /// For these tensors, which hold nothing kept yet.
    pub fn new(tensors: &TensorList) -> Result<Self> {
        Self::made(tensors, true)
    }

    fn made(tensors: &TensorList, plain: bool) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: valid pointers and their number; `raw` receives an owned pointer on success.
        check(unsafe { raw::fl_kept_new(tensors.at(), tensors.len(), plain.into(), &raw mut raw) })?;
        Ok(Self(raw))
    }

    /// Keeps the values as they are now.
    pub fn keep(&mut self) -> Result<()> {
        // SAFETY: owned and live.
        check(unsafe { raw::fl_kept_keep(self.0) })
    }

    /// Puts them back; with a condition only where that float32 scalar is not 0, and without waiting for a GPU.
    pub fn restore(&mut self, condition: Option<&Tensor>) -> Result<()> {
        // SAFETY: owned and live; null means always.
        check(unsafe { raw::fl_kept_restore(self.0, condition.map_or(std::ptr::null_mut(), ptr)) })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { raw::fl_kept_free(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    /// As a model has them, of two types, with a scalar, an empty one, a NaN, and one that does not lie row by row.
    fn tensors() -> Vec<Tensor> {
        vec![
            Tensor::from_slice(&[1.0f32, f32::NAN, -0.0]),
            Tensor::from(7i64),
            Tensor::from_slice(&[4.0f32, 5.0, 6.0, 7.0, 8.0, 9.0]).view([2, 3]).transpose(0, 1),
            Tensor::from_slice::<f32>(&[]),
            Tensor::from_slice(&[9i64, 1 << 60]),
        ]
    }

    fn bits(tensors: &[Tensor]) -> Vec<u64> {
        let one = |t: &Tensor| -> Vec<u64> {
            let flat = t.contiguous().view([-1]);
            match t.kind() {
                Kind::Float => Vec::<f32>::try_from(flat).unwrap().iter().map(|v| v.to_bits().into()).collect(),
                _ => Vec::<i64>::try_from(flat).unwrap().iter().map(|v| *v as u64).collect(),
            }
        };
        tensors.iter().flat_map(one).collect()
    }

    fn spoil(tensors: &mut [Tensor]) {
        for t in tensors {
            let _ = if t.kind() == Kind::Float { t.fill_(f64::NAN) } else { t.g_add_scalar_(1) };
        }
    }

    #[test]
    fn what_was_kept_comes_back_only_where_it_is_to() {
        for (plain, how_many) in [(true, 5), (true, 2), (false, 5)] {
            let mut tensors: Vec<Tensor> = tensors().into_iter().take(how_many).collect();
            let list = TensorList::new(&tensors);
            let mut kept = Kept::made(&list, plain).unwrap();
            let first = bits(&tensors);
            kept.keep().unwrap();
            spoil(&mut tensors);
            let spoilt = bits(&tensors);
            kept.restore(Some(&Tensor::from(0.0f32))).unwrap();
            assert_eq!(bits(&tensors), spoilt, "plain {plain}: nothing is to come back");
            kept.restore(Some(&Tensor::from(1.0f32))).unwrap();
            assert_eq!(bits(&tensors), first, "plain {plain}: no trace of a NaN");
            spoil(&mut tensors);
            kept.restore(None).unwrap();
            assert_eq!(bits(&tensors), first, "plain {plain}");
            // What is kept is the newest.
            spoil(&mut tensors);
            kept.keep().unwrap();
            let newest = bits(&tensors);
            kept.restore(Some(&Tensor::from(1.0f32))).unwrap();
            assert_eq!(bits(&tensors), newest, "plain {plain}");
        }
    }

    #[test]
    fn nothing_can_be_kept_too() {
        let mut kept = Kept::new(&TensorList::default()).unwrap();
        kept.keep().unwrap();
        kept.restore(Some(&Tensor::from(1.0f32))).unwrap();
        kept.restore(None).unwrap();
    }
}

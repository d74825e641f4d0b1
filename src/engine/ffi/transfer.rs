//! Safe functions over `transfer.cpp`: values on their way between the host and a device, which nobody waits for.

use tch::{Device, Tensor};

use super::{Result, ShimError, TensorList, check, ptr, raw};

/// How an [`upload`] is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Row-major.
    Plain,
    /// NHWC, where there are four dimensions.
    Nhwc,
}

/// What can be uploaded.
pub trait Value: Copy {
    /// int64, else float32.
    const WHOLE: bool;
}

impl Value for f32 {
    const WHOLE: bool = false;
}

impl Value for i64 {
    const WHOLE: bool = true;
}

/// Values on a device. To a GPU they are copied when what was queued before is done; the slice may go at once.
pub fn upload<T: Value>(values: &[T], shape: &[i64], device: Device, layout: Layout) -> Result<Tensor> {
    let cuda = match device {
        Device::Cpu => -1,
        Device::Cuda(i) => i.try_into().unwrap_or(i32::MAX),
        other => return Err(ShimError(format!("no way to upload to {other:?}"))),
    };
    let mut out = std::ptr::null_mut();
    // SAFETY: the slice's bytes and their number, which the shim checks against the shape; `out` receives a new owned tensor
    // on success.
    check(unsafe {
        raw::fl_upload(
            values.as_ptr().cast(),
            size_of_val(values),
            shape.as_ptr(),
            shape.len(),
            T::WHOLE.into(),
            cuda,
            (layout == Layout::Nhwc).into(),
            &raw mut out,
        )
    })?;
    // SAFETY: the shim made it with `new`, which is what tch frees.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

/// Numbers on their way from a device.
#[derive(Debug)]
pub struct Arrival {
    raw: raw::A,
    len: usize,
}

// SAFETY: tensors and an event that nobody else holds, used by one thread at a time.
unsafe impl Send for Arrival {}

impl Arrival {
    /// Sends float32 scalars, and a float32 vector after them. On the CPU they are there at once.
    pub fn start(scalars: &[Tensor], more: &Tensor) -> Result<Self> {
        Self::send(scalars, more, true)
    }

    fn send(scalars: &[Tensor], more: &Tensor, direct: bool) -> Result<Self> {
        let list = TensorList::new(scalars);
        let mut raw = std::ptr::null_mut();
        // SAFETY: valid tensors and their number; `raw` receives an owned pointer on success.
        check(unsafe { raw::fl_arrival_start(list.at(), list.len(), ptr(more), direct.into(), &raw mut raw) })?;
        Ok(Self { raw, len: list.len() + more.numel() })
    }

    /// Whether they are there.
    pub fn ready(&self) -> Result<bool> {
        let mut ready = 0;
        // SAFETY: a live arrival.
        check(unsafe { raw::fl_arrival_ready(self.raw, &raw mut ready) })?;
        Ok(ready != 0)
    }

    /// Waits for them.
    pub fn values(&self) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.len];
        // SAFETY: a live arrival, and room for as many numbers.
        check(unsafe { raw::fl_arrival_wait(self.raw, values.as_mut_ptr(), values.len()) })?;
        Ok(values)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // SAFETY: owned, freed once. Pinned memory that is still written to is kept by its allocator until that is done.
        unsafe { raw::fl_arrival_free(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn what_is_uploaded_has_the_values_the_shape_and_the_layout() {
        let values: Vec<f32> = (0..24).map(|i| i as f32 - 3.5).collect();
        for layout in [Layout::Plain, Layout::Nhwc] {
            let x = upload(&values, &[2, 3, 2, 2], Device::Cpu, layout).unwrap();
            assert_eq!((x.size(), x.kind(), x.requires_grad()), (vec![2, 3, 2, 2], Kind::Float, false));
            assert_eq!(x.stride(), if layout == Layout::Plain { [12, 4, 2, 1] } else { [12, 1, 6, 3] });
            assert_eq!(Vec::<f32>::try_from(x.contiguous().view([-1])).unwrap(), values);
        }
        let labels = upload(&[3i64, -1, 7], &[3], Device::Cpu, Layout::Nhwc).unwrap();
        assert_eq!((labels.kind(), Vec::<i64>::try_from(labels).unwrap()), (Kind::Int64, vec![3, -1, 7]));
        assert_eq!(upload::<f32>(&[], &[0, 4], Device::Cpu, Layout::Plain).unwrap().size(), [0, 4]);
    }

    #[test]
    fn a_large_upload_is_whole() {
        // More than one thread's share.
        let values: Vec<f32> = (0..1 << 20).map(|i| i as f32).collect();
        let x = upload(&values, &[1 << 20], Device::Cpu, Layout::Plain).unwrap();
        assert!(Vec::<f32>::try_from(x).unwrap() == values);
    }

    #[test]
    fn values_that_do_not_fit_the_shape_are_refused() {
        let error = upload(&[1.0f32, 2.0], &[3], Device::Cpu, Layout::Plain).unwrap_err();
        assert!(error.0.contains("8 bytes do not fit the shape [3]"), "{error}");
    }

    #[test]
    fn numbers_arrive_on_both_ways_alike() {
        let scalars: Vec<Tensor> = [1.5f32, f32::NAN, -0.0].map(Tensor::from).into();
        for more in [Tensor::from_slice(&[7.0f32, f32::INFINITY]), Tensor::from_slice::<f32>(&[])] {
            let bits = |direct| {
                let arrival = Arrival::send(&scalars, &more, direct).unwrap();
                assert!(arrival.ready().unwrap());
                arrival.values().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert_eq!(bits(true), bits(false));
            assert_eq!(bits(true).len(), 3 + more.numel());
        }
    }

    #[test]
    fn numbers_are_those_of_the_moment_when_they_were_sent() {
        let mut number = Tensor::from(1.0f32);
        let arrival = Arrival::start(&[number.shallow_clone()], &number.view([1])).unwrap();
        let _ = number.fill_(2.0);
        assert_eq!(arrival.values().unwrap(), [1.0, 1.0]);
    }
}

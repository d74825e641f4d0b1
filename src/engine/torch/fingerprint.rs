//! A number that tells the state of a learner from others, made where the tensors are.

use tch::{Device, Kind, Tensor};

use super::learner::Result;

/// Words of a row.
const ROW: i64 = 1024;

/// Of tensors, in order: differs where one of their bits does, or where values have changed places.
///
/// A tensor's bytes are taken as a grid of 64-bit whole numbers, of which the sums by row and by column are hashed. A value that
/// changes is seen in its row, two that change places in their rows or in their columns; the order of adding does not
/// matter. All but these sums stays on the device.
pub fn of<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<u64> {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for tensor in tensors {
        let parts = if tensor.device() == Device::Cpu { &mut here } else { &mut there };
        tch::no_grad(|| sums(tensor, parts))?;
    }
    let mut hash = blake3::Hasher::new();
    for parts in [here, there].iter().filter(|parts| !parts.is_empty()) {
        let all: Vec<i64> = Vec::try_from(Tensor::f_cat(parts, 0)?.f_to_device(Device::Cpu)?)?;
        for word in all {
            hash.update(&word.to_le_bytes());
        }
    }
    let [a, b, c, d, e, f, g, h, ..] = *hash.finalize().as_bytes();
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// Adds a tensor's sums to `parts`; what is small is taken as it is.
fn sums(tensor: &Tensor, parts: &mut Vec<Tensor>) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    let bytes = tensor.f_detach()?.f_reshape([-1])?.f_view_dtype(Kind::Uint8)?;
    let size = bytes.numel() as i64;
    let words = size / 8;
    let grid = match words / ROW {
        1 => 0,
        rows => rows * ROW,
    };
    if words > 0 {
        let whole = bytes.f_narrow(0, 0, words * 8)?;
        // Where its storage begins in the middle of a word.
        let whole = whole.f_view_dtype(Kind::Int64).or_else(|_| whole.f_detach_copy()?.f_view_dtype(Kind::Int64))?;
        if grid > 0 {
            let rows = whole.f_narrow(0, 0, grid)?.f_view([-1, ROW])?;
            for over in [0, 1] {
                parts.push(rows.f_sum_dim_intlist(over, false, Kind::Int64)?);
            }
        }
        parts.push(whole.f_narrow(0, grid, words - grid)?);
    }
    parts.push(bytes.f_narrow(0, words * 8, size - words * 8)?.f_to_kind(Kind::Int64)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(tensors: &[&Tensor]) -> u64 {
        of(tensors.iter().copied()).unwrap()
    }

    #[test]
    fn a_bit_and_two_values_that_change_places_are_seen_wherever_they_are() {
        for (n, kind) in [(3, Kind::Float), (9001, Kind::Float), (70_003, Kind::BFloat16), (5000, Kind::Int64)] {
            let values: Vec<f32> = (0..n).map(|i| (i % 251) as f32 - 125.0).collect();
            let of_values = |values: &[f32]| print(&[&Tensor::from_slice(values).to_kind(kind)]);
            let before = of_values(&values);
            assert_eq!(of_values(&values), before);
            for (i, j) in [(0, 1), (0, n - 1), (n / 2, n / 2 + 1), (1, (n / 2) & !1), (n - 2, n - 1)] {
                let mut swapped = values.clone();
                swapped.swap(i, j);
                assert_eq!(of_values(&swapped) == before, swapped == values, "{n} {kind:?} {i} {j}");
                let mut other = values.clone();
                // A sign alone: one bit.
                other[i] = -other[i];
                assert_eq!(of_values(&other) == before, other == values, "{n} {kind:?} {i}");
            }
        }
    }

    #[test]
    fn values_that_differ_in_their_signs_do_not_change_places_unseen() {
        let mut values = vec![0.5f32; 1 << 16];
        values[1] = -0.5;
        let before = print(&[&Tensor::from_slice(&values)]);
        for place in [3, 2049, 4097, 32_769, 65_535] {
            values.swap(1, place);
            assert_ne!(print(&[&Tensor::from_slice(&values)]), before, "{place}");
            values.swap(1, place);
        }
    }

    #[test]
    fn tensors_of_any_kind_and_layout_have_one() {
        let odd = Tensor::arange(9000, (Kind::Float, Device::Cpu));
        let middle = odd.narrow(0, 1, 8000);
        assert_eq!(print(&[&middle]), print(&[&middle.copy()]), "a storage that begins in the middle of a word");
        let across = Tensor::arange(6000, (Kind::Float, Device::Cpu)).view([60, 100]).tr();
        assert_eq!(print(&[&across]), print(&[&across.contiguous()]));
        let none = Tensor::zeros([0, 4], (Kind::Float, Device::Cpu));
        let (scalar, flag) = (Tensor::from(3i64), Tensor::from(true));
        assert_eq!(print(&[&none, &scalar, &flag]), print(&[&scalar, &flag]));
        assert_ne!(print(&[&scalar, &flag]), print(&[&flag, &scalar]));
        assert_ne!(print(&[&scalar]), print(&[&(&scalar + 1)]));
    }
}

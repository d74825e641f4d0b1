//! The 1,797 handwritten digits that the binary embeds (`data/SOURCE.md` says where they come from): 8x8 pixels of
//! 0 to 16, then the digit.

use std::io::Read;

use super::{DataError, Labels, Source, Store};

const CSV: &[u8] = include_bytes!("../../../../data/digits.csv.gz");
const SIDE: usize = 8;

pub(super) fn read() -> Result<Source, DataError> {
    let broken = |what: &str| DataError::Refused(format!("the embedded digits are damaged ({what}); build again"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(CSV).read_to_string(&mut text).map_err(|e| broken(&e.to_string()))?;
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut values = line.split(',').map(str::parse::<u8>);
        for _ in 0..SIDE * SIDE {
            let pixel = values.next().and_then(Result::ok).ok_or_else(|| broken("a pixel is missing"))?;
            data.push(f32::from(pixel) / 16.0);
        }
        labels.push(values.next().and_then(Result::ok).map(i64::from).ok_or_else(|| broken("a label is missing"))?);
    }
    Ok(Source {
        store: Store::Floats { data, shape: vec![1, SIDE, SIDE], image: true },
        labels: Labels::Classes(labels),
        class_names: (0..10).map(|d| d.to_string()).collect(),
        own_val: None,
        fingerprint: blake3::hash(CSV).to_hex().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_1797_digits_of_ten_classes_with_pixels_in_0_to_1() {
        let source = read().unwrap();
        let Store::Floats { data, shape, .. } = source.store else { panic!("not in memory") };
        assert_eq!((data.len(), shape), (1797 * 64, vec![1, 8, 8]));
        assert!(data.iter().all(|v| (0.0..=1.0).contains(v)) && data.contains(&1.0));
        let Labels::Classes(labels) = source.labels else { panic!("not classes") };
        assert!((0..10).all(|d| labels.iter().filter(|&&l| l == d).count() > 170));
    }
}

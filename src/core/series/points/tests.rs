use proptest::prelude::*;

use super::super::smooth::smoothed;
use super::*;

fn edges(x0: f64, x1: f64, width: usize) -> Vec<f64> {
    super::super::edges((x0, x1), width)
}

fn plain(points: &[(f64, f64)], x0: f64, x1: f64, width: usize) -> Vec<Option<(f64, f64)>> {
    (0..width)
        .map(|c| {
            let edge = |c: usize| x0 + (x1 - x0) * c as f64 / width as f64;
            let inside = |s: f64| s >= edge(c) && if c + 1 == width { s <= x1 } else { s < edge(c + 1) };
            let values = points.iter().filter(|(s, v)| inside(*s) && v.is_finite()).map(|(_, v)| *v);
            values.fold(None, |m, v| Some(m.map_or((v, v), |(a, b): (f64, f64)| (a.min(v), b.max(v)))))
        })
        .collect()
}

fn ranges(columns: &[Column]) -> Vec<Option<(f64, f64)>> {
    columns.iter().map(|c| c.range.map(|r| (r.min, r.max))).collect()
}

#[test]
fn a_spike_among_a_million_points_is_never_lost() {
    let mut s = Series::from_points((0..1_000_000).map(|i| (f64::from(i), 0.0)));
    s.push(1_000_000.0, 0.0);
    let mut spiky = s.clone();
    spiky.truncate_after(777_776.0);
    spiky.push(777_777.0, 9.0);
    (777_778..=1_000_000).for_each(|i| spiky.push(f64::from(i), 0.0));
    let spikes = |s: &Series| {
        let columns = s.columns(&edges(0.0, 1_000_000.0, 80));
        columns.iter().filter(|c| c.range.is_some_and(|r| r.max == 9.0)).count()
    };
    assert_eq!((spikes(&spiky), spikes(&s)), (1, 0));
    assert_eq!(spiky.extreme(true), Some((777_777.0, 9.0)));
    assert_eq!(spiky.extreme(false), Some((0.0, 0.0)));
}

#[test]
fn gaps_are_marked_and_do_not_count() {
    let s = Series::from_points([(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, -1.0)]);
    let all = s.columns(&[0.0, 3.0])[0];
    let range = all.range.unwrap();
    assert_eq!((range.min, range.max, range.first, range.last, range.positive), (-1.0, 3.0, 1.0, -1.0, 1.0));
    assert!(all.gap);
    assert_eq!(s.columns(&[0.9, 1.1]), [Column { range: None, gap: true }]);
}

#[test]
fn senseless_ranges_give_empty_columns() {
    let s = Series::from_points([(1.0, 1.0)]);
    assert_eq!(s.columns(&edges(2.0, 1.0, 3)), [Column::default(); 3]);
    assert!(s.columns(&edges(f64::NAN, 1.0, 2)).iter().all(|c| c.range.is_none()));
    assert!(s.columns(&[]).is_empty() && s.columns(&[1.0]).is_empty());
    assert!(s.columns(&edges(1.0, 1.0, 4)).last().unwrap().range.is_some(), "one step fills a chart of no width");
    assert_eq!(Series::new().columns(&edges(0.0, 1.0, 2)), [Column::default(); 2]);
}

#[test]
fn the_nearest_point_and_its_neighbours_are_found() {
    let s = Series::from_points([(0.0, 1.0), (10.0, 2.0), (40.0, 3.0)]);
    assert_eq!(s.nearest(12.0).map(|p| (p.step, p.value, p.smooth)), Some((10.0, 2.0, 2.0)));
    assert_eq!(s.nearest(-5.0).map(|p| p.step), Some(0.0));
    assert_eq!((s.neighbour(10.0, true), s.neighbour(10.0, false)), (Some(40.0), Some(0.0)));
    assert_eq!((s.neighbour(40.0, true), s.neighbour(0.0, false)), (None, None));
    assert_eq!(Series::new().nearest(0.0), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn columns_equal_a_plain_scan_also_after_taking_points_back(
        values in prop::collection::vec(prop_oneof![4 => -5.0..5.0f64, 1 => Just(f64::NAN)], 0..300),
        back in 0..300u32,
        (a, b) in (0..310u32, 0..310u32),
        width in 1..20usize,
    ) {
        let mut s = Series::new();
        let mut points: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
        points.iter().for_each(|(x, v)| s.push(*x, *v));
        if (back as usize) < points.len() {
            // A step that was there is measured again, or one between two.
            let step = if width % 2 == 0 { f64::from(back) } else { f64::from(back) - 0.5 };
            // Of the last step both values are kept.
            if step < (points.len() - 1) as f64 {
                points.truncate(back as usize);
            }
            points.push((step, 7.0));
            s.push(step, 7.0);
        }
        let (x0, x1) = (f64::from(a.min(b)), f64::from(a.max(b)));
        prop_assert_eq!(ranges(&s.columns(&edges(x0, x1, width))), plain(&points, x0, x1, width));
    }

    #[test]
    fn a_series_that_is_thinned_keeps_its_spikes_its_gaps_and_its_bounds(
        spikes in (0..15_000u32, 35_000..50_000u32).prop_map(|(a, b)| std::collections::BTreeSet::from([a, b])),
        gaps in prop::collection::btree_set(0..50_000u32, 0..4),
        smooth in any::<bool>(),
        back in prop::option::of(1..50_000u32),
    ) {
        let mut s = Series::keeping(1024);
        s.set_smoothing(if smooth { 0.9 } else { 0.0 });
        let value = |i: u32| match i {
            i if gaps.contains(&i) => f64::NAN,
            i if spikes.contains(&i) => 1e6 + f64::from(i),
            i => f64::from(i % 7),
        };
        (0..50_000).for_each(|i| s.push(f64::from(i), value(i)));
        if let Some(back) = back {
            (back..50_000).for_each(|i| s.push(f64::from(i), value(i)));
        }
        prop_assert!(s.len() <= 1024);
        prop_assert_eq!(s.last().unwrap().0, 49_999.0);
        prop_assert!(s.steps.windows(2).all(|w| w[0] < w[1]));
        for spike in spikes.difference(&gaps) {
            // A step taken back may have been the one that its group kept.
            let lost = back.is_some_and(|b| *spike < b);
            prop_assert!(lost || s.points().any(|(x, v)| x == f64::from(*spike) && v == value(*spike)), "{}", spike);
        }
        prop_assert!(back.is_some() || gaps.is_empty() || s.points().any(|(_, v)| v.is_nan()));
        prop_assert_eq!(s.smooth().values().len(), s.len());
    }

    #[test]
    fn a_smoothed_curve_is_that_of_the_whole_series_whenever_smoothing_began(
        values in prop::collection::vec(prop_oneof![9 => -5.0..5.0f64, 1 => Just(f64::NAN)], 1..200),
        began in 0..200usize,
        weight in 0.1..0.99f64,
    ) {
        let mut s = Series::new();
        for (i, v) in values.iter().enumerate() {
            if i == began {
                s.set_smoothing(weight);
            }
            s.push(i as f64, *v);
        }
        s.set_smoothing(weight);
        let whole = smoothed(&values, weight);
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        prop_assert!(s.smooth().values().iter().zip(&whole).all(|(a, b)| same(*a, *b)));
        s.set_smoothing(0.0);
        prop_assert!(!s.is_smoothed());
    }
}

//! Numbers from PyTorch 2.11's schedulers with a base rate of 1, one `scheduler.step()` a step.

use proptest::prelude::*;

use super::*;

fn spec(kind: LrScheduleKind) -> LrScheduleSpec {
    LrScheduleSpec { kind, ..LrScheduleSpec::default() }
}

fn assert_factors(schedule: &LrSchedule, expected: &[f64]) {
    for (step, expected) in expected.iter().enumerate() {
        let factor = schedule.factor(step as u64);
        assert!((factor - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "step {step}: {factor} != {expected}");
    }
}

#[test]
fn a_stored_schedule_of_epochs_without_steps_is_no_division_by_zero() {
    let schedule = LrSchedule::new(&spec(LrScheduleKind::Step), 9, 3, Mode::Min);
    let mut damaged = serde_json::to_value(schedule).unwrap();
    damaged["steps_per_epoch"] = 0.into();
    assert_eq!(serde_json::from_value::<LrSchedule>(damaged).unwrap().factor(0), 1.0);
}

#[test]
fn warm_up_is_linear_lr() {
    let spec = LrScheduleSpec { warmup_steps: 4, warmup_start_factor: 0.1, ..spec(LrScheduleKind::Constant) };
    assert_factors(&LrSchedule::new(&spec, 6, 1, Mode::Min), &[0.1, 0.325, 0.55, 0.775, 1.0, 1.0]);
}

#[test]
fn step_is_step_lr_by_epoch() {
    let spec = LrScheduleSpec { step_size: 2, gamma: 0.5, ..spec(LrScheduleKind::Step) };
    assert_factors(&LrSchedule::new(&spec, 7, 1, Mode::Min), &[1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]);
    let by_three = LrSchedule::new(&spec, 21, 3, Mode::Min);
    assert_eq!((by_three.factor(5), by_three.factor(6)), (1.0, 0.5));
}

#[test]
fn warm_up_times_step_is_chained_scheduler() {
    let spec = LrScheduleSpec {
        step_size: 2,
        gamma: 0.5,
        warmup_steps: 3,
        warmup_start_factor: 0.1,
        ..spec(LrScheduleKind::Step)
    };
    let expected = [0.1, 0.4, 0.35, 0.5, 0.25, 0.25, 0.125, 0.125];
    assert_factors(&LrSchedule::new(&spec, 8, 1, Mode::Min), &expected);
}

#[test]
fn multi_step_is_multi_step_lr() {
    let spec = LrScheduleSpec { milestones: vec![2, 5], ..spec(LrScheduleKind::MultiStep) };
    assert_factors(&LrSchedule::new(&spec, 7, 1, Mode::Min), &[1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01]);
}

#[test]
fn cosine_is_cosine_annealing_lr_and_stays_at_its_minimum() {
    let spec = LrScheduleSpec { min_factor: 0.05, ..spec(LrScheduleKind::Cosine) };
    let expected = [1.0, 0.9363620667976085, 0.7625, 0.525, 0.2875, 0.11363793320239163, 0.05, 0.05, 0.05];
    assert_factors(&LrSchedule::new(&spec, 6, 1, Mode::Min), &expected);
}

#[test]
fn cosine_begins_when_the_warm_up_ends() {
    let spec = LrScheduleSpec { warmup_steps: 3, warmup_start_factor: 0.1, ..spec(LrScheduleKind::Cosine) };
    let expected =
        [0.1, 0.4, 0.7, 1.0, 0.9045084971874737, 0.6545084971874737, 0.3454915028125263, 0.09549150281252632, 0.0];
    assert_factors(&LrSchedule::new(&spec, 8, 1, Mode::Min), &expected);
}

#[test]
fn one_cycle_is_one_cycle_lr() {
    let ten = [
        0.04,
        0.52,
        1.0,
        0.9504846320134737,
        0.8117456539497631,
        0.6112620219362893,
        0.38874197806371075,
        0.18825834605023697,
        0.049519367986526286,
        4e-6,
        4e-6,
    ];
    assert_factors(&LrSchedule::new(&spec(LrScheduleKind::OneCycle), 10, 1, Mode::Min), &ten);
    let seven = [
        0.1,
        0.41094235253127365,
        0.9140576474687263,
        0.9505339495172583,
        0.611649206511179,
        0.18906684397156262,
        0.001,
    ];
    let half =
        LrScheduleSpec { pct_start: 0.5, div_factor: 10.0, final_div_factor: 100.0, ..spec(LrScheduleKind::OneCycle) };
    assert_factors(&LrSchedule::new(&half, 7, 1, Mode::Min), &seven);
    let two = [0.811745653949763, 4e-6];
    assert_factors(&LrSchedule::new(&spec(LrScheduleKind::OneCycle), 2, 1, Mode::Min), &two);
}

fn plateau_factors(plateau: &mut Plateau, metrics: &[f64]) -> Vec<f64> {
    let mut after = |metric: &f64| {
        plateau.observe(*metric);
        plateau.factor()
    };
    metrics.iter().map(&mut after).collect()
}

#[test]
fn plateau_is_reduce_lr_on_plateau() {
    let mut min = Plateau::new(0.5, 1, 1e-2, 0.1, Mode::Min);
    let metrics = [1.0, 0.9, 0.8999, 0.9, 0.95, f64::NAN, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76];
    let expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.1, 0.1, 0.1];
    assert_eq!(plateau_factors(&mut min, &metrics), expected);
    let mut max = Plateau::new(0.1, 2, 1e-3, 0.0, Mode::Max);
    let metrics = [0.5, 0.6, 0.6001, 0.55, 0.59, 0.9, 0.1, 0.1, 0.1];
    let expected = [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.010000000000000002];
    assert_eq!(plateau_factors(&mut max, &metrics), expected);
}

#[test]
fn only_the_plateau_schedule_looks_at_metrics() {
    let spec = LrScheduleSpec { patience: 0, ..spec(LrScheduleKind::Plateau) };
    let mut plateau = LrSchedule::new(&spec, 10, 1, Mode::Min);
    let mut cosine = LrSchedule::new(&LrScheduleSpec { kind: LrScheduleKind::Cosine, ..spec }, 10, 1, Mode::Min);
    let before = cosine.clone();
    for schedule in [&mut plateau, &mut cosine] {
        schedule.observe(1.0);
        schedule.observe(1.0);
    }
    assert_eq!(plateau.factor(0), 0.1);
    assert_eq!(cosine, before);
}

#[test]
fn a_longer_run_stretches_the_cosine() {
    let mut schedule = LrSchedule::new(&spec(LrScheduleKind::Cosine), 10, 1, Mode::Min);
    schedule.set_total(20);
    assert_eq!(schedule, LrSchedule::new(&spec(LrScheduleKind::Cosine), 20, 1, Mode::Min));
    assert!((schedule.factor(10) - 0.5).abs() < 1e-12);
}

#[test]
fn early_stopping_counts_validations_without_improvement() {
    let mut two = EarlyStopping::new(2, Mode::Min);
    let stops: Vec<bool> = [1.0, 1.0, 0.9, 0.9, f64::NAN].into_iter().map(|m| two.observe(m)).collect();
    assert_eq!(stops, [false, false, false, false, true]);
    assert_eq!(two.waiting(), 2);
    let mut max = EarlyStopping::new(1, Mode::Max);
    assert!(!max.observe(0.5) && !max.observe(0.6) && max.observe(0.6));
    let mut never = EarlyStopping::new(0, Mode::Min);
    assert!((0..100).all(|_| !never.observe(1.0)));
}

fn any_spec() -> impl Strategy<Value = LrScheduleSpec> {
    use LrScheduleKind::*;
    let kind = prop::sample::select(vec![Constant, Step, MultiStep, Cosine, OneCycle, Plateau]);
    let shape = (1u64..5, prop::collection::btree_set(1u64..20, 1..4), 0.01f64..0.99, 0.0f64..=1.0);
    let cycle = (0.0f64..=1.0, 1.0f64..50.0, 0.5f64..1e5);
    (kind, 0u64..30, 0.001f64..=1.0, shape, cycle, 0u64..3).prop_map(|(kind, warmup, start, shape, cycle, patience)| {
        LrScheduleSpec {
            kind,
            warmup_steps: warmup,
            warmup_start_factor: start,
            step_size: shape.0,
            milestones: shape.1.into_iter().collect(),
            gamma: shape.2,
            min_factor: shape.3,
            pct_start: cycle.0,
            div_factor: cycle.1,
            final_div_factor: cycle.2,
            patience,
            threshold: 1e-4,
        }
    })
}

proptest! {
    #[test]
    fn factors_are_finite_and_within_bounds(
        spec in any_spec(), total in 1u64..60, per_epoch in 0u64..10,
        metrics in prop::collection::vec(prop::num::f64::ANY, 0..8),
    ) {
        let mut schedule = LrSchedule::new(&spec, total, per_epoch, Mode::Min);
        for metric in metrics {
            schedule.observe(metric);
        }
        for step in 0..total + 10 {
            let factor = schedule.factor(step);
            prop_assert!((0.0..=2.0 + 1e-9).contains(&factor), "step {}: {}", step, factor);
            prop_assert!(spec.final_div_factor < 1.0 || factor <= 1.0 + 1e-9, "step {}: {}", step, factor);
        }
    }

    #[test]
    fn warm_up_arrives_where_the_schedule_begins(spec in any_spec(), total in 40u64..90) {
        // Against the same schedule without a ramp: equal from the end of the warm-up on, and one ramp's step below before.
        let schedule = LrSchedule::new(&spec, total, 1000, Mode::Min);
        let flat = LrScheduleSpec { warmup_start_factor: 1.0, ..spec.clone() };
        let flat = LrSchedule::new(&flat, total, 1000, Mode::Min);
        for step in 0..total {
            let ramp = schedule.factor(step) / flat.factor(step).max(f64::MIN_POSITIVE);
            let part = step as f64 / spec.warmup_steps.max(1) as f64;
            if step >= spec.warmup_steps {
                prop_assert_eq!(schedule.factor(step), flat.factor(step));
            } else {
                prop_assert!((ramp - (spec.warmup_start_factor * (1.0 - part) + part)).abs() < 1e-9);
                prop_assert_eq!(flat.factor(step), flat.factor(spec.warmup_steps));
            }
        }
    }

    #[test]
    fn a_stored_schedule_goes_on_like_one_that_was_never_stored(
        spec in any_spec(), total in 1u64..60, cut in 0usize..12,
        metrics in prop::collection::vec(prop::num::f64::ANY, 12),
    ) {
        let mut whole = LrSchedule::new(&spec, total, 3, Mode::Max);
        let mut stop = EarlyStopping::new(3, Mode::Max);
        let (mut resumed, mut stop_resumed) = (whole.clone(), stop.clone());
        for (i, metric) in metrics.into_iter().enumerate() {
            whole.observe(metric);
            resumed.observe(metric);
            prop_assert_eq!(stop.observe(metric), stop_resumed.observe(metric));
            if i == cut {
                let through = |json: String| serde_json::from_str::<(LrSchedule, EarlyStopping)>(&json);
                (resumed, stop_resumed) = through(serde_json::to_string(&(&resumed, &stop_resumed)).unwrap()).unwrap();
            }
        }
        prop_assert_eq!(&whole, &resumed);
        for step in 0..total {
            prop_assert_eq!(whole.factor(step).to_bits(), resumed.factor(step).to_bits());
        }
    }
}

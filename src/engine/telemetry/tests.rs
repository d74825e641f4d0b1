//! Telemetry over GPUs that are not there.

use super::*;

fn env(visible: Option<&str>, order: Option<&str>) -> Environment {
    Environment { visible: visible.map(str::to_owned), order: order.map(str::to_owned) }
}

fn of(gpus: Vec<FakeGpu>, visible: Option<&str>) -> Telemetry {
    Telemetry::with(Ok(Box::new(FakeGpus::new(gpus))), &env(visible, None))
}

fn names(survey: &Survey) -> Vec<&str> {
    survey.devices.iter().map(|d| d.name.as_str()).collect()
}

fn machine() -> Vec<FakeGpu> {
    let mut hot = FakeGpu::busy(2, 10, 1.0);
    hot.now.temperature = Some(91.0);
    vec![FakeGpu::idle(0), FakeGpu::busy(1, 40, 0.97), hot, FakeGpu::busy(3, 80, 0.2)]
}

#[test]
fn gpus_are_listed_after_the_cpu_with_all_that_they_tell() {
    let survey = of(machine(), None).survey();
    assert_eq!(names(&survey), ["cpu", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "mps"]);
    assert_eq!(survey.notes, [""; 0]);
    let busy = &survey.devices[2];
    assert_eq!(busy.capability.as_deref(), Some("9.0"));
    assert_eq!((busy.memory_used, busy.memory_free, busy.memory_total), (40 << 30, 40 << 30, 80 << 30));
    assert_eq!((busy.load, busy.processes[0].pid), (Some(0.97), 4201));
    assert_eq!(survey.get("cuda:2").unwrap().temperature, Some(91.0));
    assert_eq!(survey.get("cuda:3").unwrap().memory_free, 0);
    assert!(survey.get("mps").unwrap().is_absent());
}

#[test]
fn the_cpu_tells_its_load_from_the_second_reading_on() {
    let mut telemetry = Telemetry::with(Err("no NVIDIA GPU on this machine".to_owned()), &Environment::default());
    let first = telemetry.survey();
    let cpu = first.get("cpu").unwrap();
    assert!(cpu.memory_total > 0 && cpu.memory_free <= cpu.memory_total, "{cpu:?}");
    assert!(cpu.memory_own.is_some_and(|own| own > 0 && own < cpu.memory_total));
    assert!(cpu.threads.is_some_and(|n| n > 0) && !cpu.model.is_empty());
    assert_eq!(cpu.load, None);
    let load = telemetry.survey().get("cpu").unwrap().load.unwrap();
    assert!((0.0..=1.0).contains(&load));
    assert_eq!(first.get("cuda").unwrap().unusable.as_deref(), Some("no NVIDIA GPU on this machine"));
}

#[test]
fn numbers_are_those_that_cuda_gives_to_what_it_shows() {
    let survey = of(machine(), Some("2,0")).survey();
    assert_eq!(names(&survey), ["cpu", "cuda:0", "cuda:1", "mps"]);
    assert_eq!(survey.get("cuda:0").unwrap().temperature, Some(91.0));
    assert_eq!(survey.notes, ["CUDA_VISIBLE_DEVICES = \"2,0\" hides 2 GPUs of 4"]);
    let survey = of(machine(), Some("GPU-00000003")).survey();
    assert_eq!(survey.get("cuda:0").unwrap().memory_free, 0);
    for none in ["", "-1"] {
        let mut telemetry = of(machine(), Some(none));
        assert_eq!(names(&telemetry.survey()), ["cpu", "cuda", "mps"]);
        assert!(matches!(telemetry.gpus(), Gpus::Absent(why) if why.contains("hides all 4 GPUs")));
    }
}

#[test]
fn gpus_that_are_not_alike_may_have_other_numbers_and_it_is_said() {
    let mut gpus = machine();
    gpus[1].identity.model = "NVIDIA T4".to_owned();
    let notes = |visible, order| {
        Telemetry::with(Ok(Box::new(FakeGpus::new(gpus.clone()))), &env(visible, order)).survey().notes
    };
    assert!(notes(None, None)[0].contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"));
    assert!(notes(None, Some("FASTEST_FIRST"))[0].contains("not alike"));
    assert_eq!(notes(None, Some("PCI_BUS_ID")), [""; 0]);
    assert_eq!(notes(Some("GPU-00000001,GPU-00000000,GPU-00000002,GPU-00000003"), None), [""; 0]);
}

#[test]
fn a_gpu_that_dies_says_so_and_the_others_go_on() {
    let mut gpus = machine();
    gpus[1].dies_after = Some(1);
    let mut telemetry = of(gpus, None);
    assert_eq!(telemetry.survey().get("cuda:1").unwrap().problem, None);
    let after = telemetry.survey();
    let dead = after.get("cuda:1").unwrap();
    assert!(dead.problem.as_ref().unwrap().contains("lost") && dead.load.is_none(), "{dead:?}");
    assert_eq!(dead.memory_total, 80 << 30, "what it is, is still known");
    assert_eq!(after.get("cuda:2").unwrap().problem, None);
    let Gpus::Usable(list) = telemetry.gpus() else { panic!("three are left") };
    assert_eq!(crate::core::device::emptiest(&list, None), Some(0));
    assert_eq!(list[1].free, Some(0), "never the emptiest");
}

#[test]
fn a_driver_that_is_too_old_makes_every_gpu_unusable() {
    let source = FakeGpus::new(machine()).unusable("driver too old");
    let mut telemetry = Telemetry::with(Ok(Box::new(source)), &Environment::default());
    assert_eq!(telemetry.gpus(), Gpus::Unusable("driver too old".to_owned()));
    assert!(telemetry.survey().devices[1..5].iter().all(|d| d.unusable.as_deref() == Some("driver too old")));
}

#[test]
fn a_machine_without_gpus_says_so() {
    let mut telemetry = of(Vec::new(), None).without_cpu();
    assert_eq!(names(&telemetry.survey()), ["cuda", "mps"]);
    assert_eq!(telemetry.gpus(), Gpus::Absent("no NVIDIA GPU on this machine".to_owned()));
}

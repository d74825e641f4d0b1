//! A recipe's `train.devices`, made into names that can be used.

/// A GPU that can be used, as far as a choice needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gpu {
    /// Free memory in bytes; `None` where nobody knows.
    pub free: Option<u64>,
    /// Total memory in bytes.
    pub total: Option<u64>,
    /// Busy part, 0 to 1.
    pub load: Option<f64>,
}

/// What there is to choose from besides the CPU.
#[derive(Debug, Clone, PartialEq)]
pub enum Gpus {
    /// No GPU, and why.
    Absent(String),
    /// There is one, but it cannot be used, and why.
    Unusable(String),
    /// `cuda:0`, `cuda:1`, …
    Usable(Vec<Gpu>),
}

/// The key that asks for the CPU, as error messages name it.
const ASK_CPU: &str = "set train.devices = [\"cpu\"] to train on the CPU";

/// Free memory that differs by less than this part of the whole is the same: idle GPUs are never quite alike.
const ALIKE: f64 = 0.01;

/// The emptiest GPU in which `need` bytes are free: by free memory, among those alike by load, then the first. `None` where
/// there is none.
pub fn emptiest(gpus: &[Gpu], need: Option<u64>) -> Option<usize> {
    let fits = |g: &Gpu| need.is_none_or(|need| g.free.is_none_or(|free| free >= need));
    let most = gpus.iter().filter(|g| fits(g)).map(|g| g.free.unwrap_or(0)).max()?;
    let alike = |g: &Gpu| {
        let slack = g.total.map_or(0, |total| (total as f64 * ALIKE) as u64);
        g.free.unwrap_or(0).saturating_add(slack) >= most
    };
    let load = |g: &Gpu| g.load.filter(|l| l.is_finite()).unwrap_or(0.0);
    let candidates = gpus.iter().enumerate().filter(|(_, g)| fits(g) && alike(g));
    candidates.min_by(|(_, a), (_, b)| load(a).total_cmp(&load(b))).map(|(i, _)| i)
}

/// Turns names into usable ones, or says why not. `auto` is the emptiest GPU with `need` bytes free, the CPU where there is no
/// GPU, and an error where there is one that cannot be used; `all` is every GPU. `cpu:0`, `cpu:1`, … stand for replicas on the CPU,
/// one alone for the CPU.
pub fn choose(asked: &[String], gpus: &Gpus, need: Option<u64>) -> Result<Vec<String>, String> {
    match asked {
        [] => Err(format!("train.devices is empty; {ASK_CPU}")),
        [one] => match one.as_str() {
            "auto" => auto(gpus, need),
            "all" => all(gpus),
            name => Ok(vec![match check(name, gpus)? {
                Named::Cpu(0) => "cpu".to_owned(),
                Named::Cpu(i) => {
                    return Err(format!("train.devices: `cpu:{i}` alone; replicas on the CPU are numbered from cpu:0"));
                }
                Named::Cuda(i) => format!("cuda:{i}"),
            }]),
        },
        many => several(many, gpus),
    }
}

fn auto(gpus: &Gpus, need: Option<u64>) -> Result<Vec<String>, String> {
    match gpus {
        Gpus::Absent(_) => Ok(vec!["cpu".to_owned()]),
        Gpus::Unusable(why) => {
            Err(format!("train.devices = [\"auto\"]: the NVIDIA GPU cannot be used: {why}; or {ASK_CPU}"))
        }
        Gpus::Usable(list) => match emptiest(list, need) {
            Some(i) => Ok(vec![format!("cuda:{i}")]),
            None => {
                let most = list.iter().filter_map(|g| g.free).max().unwrap_or(0);
                Err(format!(
                    "train.devices = [\"auto\"]: no GPU has room: {} are needed, {} are free on the emptiest; make \
                     train.batch_size smaller (train.accumulate_grad_batches keeps the step's size), or {ASK_CPU}",
                    gigabytes(need.unwrap_or(0)),
                    gigabytes(most)
                ))
            }
        },
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn all(gpus: &Gpus) -> Result<Vec<String>, String> {
    match gpus {
        Gpus::Absent(_) => Ok(vec!["cpu".to_owned()]),
        Gpus::Usable(list) => Ok((0..list.len()).map(|i| format!("cuda:{i}")).collect()),
        Gpus::Unusable(why) => {
            Err(format!("train.devices = [\"all\"]: the NVIDIA GPU cannot be used: {why}; or {ASK_CPU}"))
        }
    }
}

fn several(many: &[String], gpus: &Gpus) -> Result<Vec<String>, String> {
    let mut named = Vec::new();
    for name in many {
        if matches!(name.as_str(), "auto" | "all") {
            return Err(format!("train.devices: `{name}` chooses by itself and stands alone"));
        }
        let device = check(name, gpus)?;
        if named.contains(&device) {
            return Err(format!("train.devices: `{name}` is named twice"));
        }
        named.push(device);
    }
    let cpus = named.iter().filter(|n| matches!(n, Named::Cpu(_))).count();
    if cpus > 0 && cpus < named.len() {
        return Err("train.devices: CPU and GPU cannot share one run; name devices of one kind".to_owned());
    }
    let name = |n: &Named| match n {
        Named::Cpu(i) => format!("cpu:{i}"),
        Named::Cuda(i) => format!("cuda:{i}"),
    };
    Ok(named.iter().map(name).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Cpu(usize),
    Cuda(usize),
}

fn check(name: &str, gpus: &Gpus) -> Result<Named, String> {
    match named(name) {
        Some(Named::Cpu(i)) => Ok(Named::Cpu(i)),
        Some(Named::Cuda(i)) => match gpus {
            Gpus::Absent(why) => Err(format!("train.devices: `{name}`: {why}; {ASK_CPU}")),
            Gpus::Unusable(why) => Err(format!("train.devices: `{name}` cannot be used: {why}")),
            Gpus::Usable(list) if i >= list.len() => {
                Err(format!("train.devices: `{name}`: only {} GPU(s) here, numbered from cuda:0", list.len()))
            }
            Gpus::Usable(_) => Ok(Named::Cuda(i)),
        },
        None if name == "mps" => Err(format!("train.devices: `mps` is Apple's, and there is none here; {ASK_CPU}")),
        None => Err(format!("train.devices: unknown device `{name}`; use cpu, cuda:0, auto or all")),
    }
}

fn named(name: &str) -> Option<Named> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) if index.bytes().all(|b| b.is_ascii_digit()) => (kind, index.parse().ok()?),
        Some(_) => return None,
        None => (name, 0),
    };
    match kind {
        "cpu" => Some(Named::Cpu(index)),
        "cuda" => Some(Named::Cuda(index)),
        _ => None,
    }
}

/// The number of a CUDA device; `cuda` is the first.
pub fn cuda_index(name: &str) -> Option<usize> {
    match named(name)? {
        Named::Cuda(i) => Some(i),
        Named::Cpu(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(free: u64, load: f64) -> Gpu {
        Gpu { free: Some(free << 30), total: Some(80 << 30), load: Some(load) }
    }

    fn of(asked: &[&str], gpus: &Gpus) -> Result<Vec<String>, String> {
        let asked: Vec<String> = asked.iter().map(|n| (*n).to_owned()).collect();
        choose(&asked, gpus, None)
    }

    fn none() -> Gpus {
        Gpus::Absent("no NVIDIA GPU on this machine".to_owned())
    }

    fn two() -> Gpus {
        Gpus::Usable(vec![gpu(10, 0.0), gpu(70, 0.9)])
    }

    #[test]
    fn auto_is_the_emptiest_gpu_that_fits() {
        assert_eq!(of(&["auto"], &two()).unwrap(), ["cuda:1"]);
        assert_eq!(of(&["auto"], &none()).unwrap(), ["cpu"]);
        assert_eq!(emptiest(&[gpu(10, 0.0), gpu(40, 0.9), gpu(30, 0.0)], None), Some(1), "memory before load");
        let mut near = gpu(79, 0.7);
        near.free = near.free.map(|f| f + (300 << 20));
        assert_eq!(emptiest(&[near, gpu(79, 0.1)], None), Some(1), "alike in memory: the one with less load");
        assert_eq!(emptiest(&[gpu(79, 0.1), gpu(79, 0.1)], None), Some(0));
        assert_eq!(emptiest(&[gpu(10, 0.0), gpu(20, 0.0)], Some(30 << 30)), None);
        assert_eq!(emptiest(&[Gpu::default(), Gpu::default()], Some(1)), Some(0), "nobody knows: the first");
        assert_eq!(emptiest(&[gpu(10, f64::NAN), gpu(10, 0.5)], None), Some(0));
        let problem = choose(&["auto".to_owned()], &two(), Some(100 << 30)).unwrap_err();
        assert!(problem.contains("107.4 GB are needed, 75.2 GB are free"), "{problem}");
    }

    #[test]
    fn all_is_every_gpu_that_can_be_used() {
        assert_eq!(of(&["all"], &two()).unwrap(), ["cuda:0", "cuda:1"]);
        assert_eq!(of(&["all"], &none()).unwrap(), ["cpu"]);
    }

    #[test]
    fn several_devices_are_taken_as_they_are() {
        assert_eq!(of(&["cuda:1", "cuda:0"], &two()).unwrap(), ["cuda:1", "cuda:0"]);
        assert_eq!(of(&["cpu:0", "cpu:1"], &none()).unwrap(), ["cpu:0", "cpu:1"]);
        assert_eq!(of(&["cpu"], &none()).unwrap(), ["cpu"]);
        assert_eq!(of(&["cpu:0"], &none()).unwrap(), ["cpu"]);
        assert_eq!(of(&["cuda"], &two()).unwrap(), ["cuda:0"]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let words = |asked: &[&str], gpus: &Gpus| of(asked, gpus).unwrap_err();
        assert!(words(&["cuda:0", "cuda:0"], &two()).contains("named twice"));
        assert!(words(&["cuda", "cuda:0"], &two()).contains("named twice"));
        assert!(words(&["cpu:0", "cuda:0"], &two()).contains("cannot share one run"));
        assert!(words(&["cuda:0", "auto"], &two()).contains("stands alone"));
        assert!(words(&["cuda:2"], &two()).contains("only 2 GPU(s) here"));
        assert!(words(&["cuda:0"], &none()).contains("no NVIDIA GPU on this machine; set train.devices"));
        assert!(words(&["cpu:1"], &none()).contains("numbered from cpu:0"));
        assert!(words(&["mps"], &none()).contains("Apple"));
        for odd in ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "cpu:0:1", "cuda: 1"] {
            assert!(words(&[odd], &two()).contains("unknown device"), "{odd:?}");
        }
        assert!(words(&[], &two()).contains("empty"));
        let off = Gpus::Unusable("driver too old".to_owned());
        for asked in ["auto", "all", "cuda:0"] {
            assert!(words(&[asked], &off).contains("driver too old"), "{asked}");
        }
    }

    #[test]
    fn names_have_numbers() {
        assert_eq!(["cuda", "cuda:3", "cpu", "cuda:x"].map(cuda_index), [Some(0), Some(3), None, None]);
    }
}

//! NCCL: whether the ranks' GPUs talk over it, and what frees those that wait inside it for a rank that is lost.

use std::sync::{Arc, Mutex, PoisonError};

use tch::Tensor;

use super::PATIENCE;
use crate::core::device::cuda_index;
use crate::engine::api::EngineError;
use crate::engine::ffi::c10d::{Brake, Group, Store};
use crate::engine::ffi::{ShimError, nccl};

/// Has a group's GPUs talk over NCCL where every rank has one and can; otherwise their tensors go through host memory, by
/// Gloo.
///
/// # Errors
/// Where NCCL is there and does not work.
pub fn go_over(group: &mut Group, store: &Store, device: &str) -> Result<(), EngineError> {
    // Asked of all: one that waits for NCCL alone waits for ever.
    let ready = ready(device);
    let all = Tensor::f_from_slice(&[i64::from(ready.is_ok())])?;
    group.all_reduce(&all)?;
    match ready {
        Ok(index) if all.f_int64_value(&[0])? == group.size() as i64 => {
            let failed = |e: ShimError| {
                EngineError::Failed(format!(
                    "NCCL does not work: {e}; NCCL_DEBUG=INFO tells more, and FROSTLINE_BACKEND=gloo goes without it"
                ))
            };
            group.go_over_nccl(store, index, PATIENCE).map_err(failed)
        }
        _ => Ok(()),
    }
}

/// The GPU that could talk over NCCL, or why none can.
fn ready(device: &str) -> Result<usize, String> {
    let index = cuda_index(device).ok_or("not all ranks have a GPU")?;
    match std::env::var("FROSTLINE_BACKEND").as_deref() {
        Ok("gloo") => return Err("FROSTLINE_BACKEND says so".to_owned()),
        Ok("nccl") | Err(_) => {}
        Ok(other) => return Err(format!("FROSTLINE_BACKEND={other} is none: it is nccl or gloo")),
    }
    nccl::load().map_err(|e| e.to_string())?;
    Ok(index)
}

/// Why the gradients of GPUs go through host memory, for the user.
pub fn warning(device: &str) -> String {
    let why = ready(device).err().unwrap_or_else(|| "not every rank can use NCCL".to_owned());
    format!(
        "train.devices: the GPUs exchange gradients through host memory (Gloo), not over NCCL: {why}; expect each step to take \
         longer by the time that all gradients take over PCIe, twice"
    )
}

/// Those of all ranks of this process whose GPUs talk over NCCL.
#[derive(Debug, Default)]
pub struct Brakes(Mutex<Vec<Arc<Brake>>>);

impl Brakes {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Brake>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of a group, if it has one.
    pub fn take_from(&self, group: &Group) {
        self.lock().extend(group.brake());
    }

    /// Whether no GPU talks over NCCL.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A rank is lost: whoever waits for it goes on, with nothing of worth.
    pub fn pull(&self) {
        let brakes = self.lock().clone();
        brakes.iter().for_each(|brake| brake.pull());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device::{Cuda, cuda, parse};
    use tch::Kind;

    /// Runs `body` as ranks on threads, one a device.
    fn ranks<T: Send + 'static>(devices: &[String], body: fn(Group, &str) -> T) -> Vec<T> {
        let store = Arc::new(Store::local().unwrap());
        let size = devices.len();
        let threads: Vec<_> = (devices.iter().cloned().enumerate())
            .map(|(rank, device)| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    let mut group = Group::gloo(&store, rank, size, "127.0.0.1", "", PATIENCE).unwrap();
                    go_over(&mut group, &store, &device).unwrap();
                    body(group, &device)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    }

    #[test]
    fn ranks_of_which_not_all_have_a_gpu_go_by_gloo() {
        let devices: Vec<String> = ["cpu:0", "cuda:0", "cpu:1"].map(str::to_owned).to_vec();
        let seen = ranks(&devices, |group, _| {
            let t = Tensor::from_slice(&[1.0f32]);
            group.all_reduce(&t).unwrap();
            (group.brake().is_none(), f64::try_from(t).unwrap())
        });
        assert_eq!(seen, [(true, 3.0); 3]);
        assert!(warning("cpu:0").contains("not all ranks have a GPU"));
    }

    #[test]
    fn gpus_talk_over_nccl_and_are_freed_by_the_brake() {
        let n = match cuda() {
            Cuda::Ready(n) => *n,
            _ => return eprintln!("skipped: no GPU"),
        };
        if let Err(why) = nccl::load() {
            return eprintln!("skipped: {why}");
        }
        let devices: Vec<String> = (0..n).map(|i| format!("cuda:{i}")).collect();
        let seen = ranks(&devices, |group, device| {
            let t = Tensor::ones([1 << 16], (Kind::Float, parse(device)));
            group.all_reduce(&t).unwrap();
            let sum = f64::try_from(t.mean(Kind::Float)).unwrap();
            let brakes = Brakes::default();
            brakes.take_from(&group);
            let armed = !brakes.is_empty();
            // Rank 0 waits for the others, which never come, until the brake is pulled.
            if group.rank() == 0 && group.size() > 1 {
                let pull = std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    brakes.pull();
                });
                let _ = group.all_reduce(&t);
                let _ = f64::try_from(t.mean(Kind::Float));
                pull.join().unwrap();
            }
            (armed, sum)
        });
        assert_eq!(seen, vec![(true, n as f64); n]);
    }
}

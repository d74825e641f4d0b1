//! Safe functions over `c10d.cpp`: groups of ranks, sums and copies among them, and the reducer of gradients.
//!
//! All ranks of a group call the same functions in the same order. A rank that goes away closes its connections: what
//! the others wait for then fails, in words.

use std::sync::Arc;
use std::time::Duration;

use tch::Tensor;

use super::c10d_raw as raw;
use super::{Result, ShimError, TensorList, c_text, check, ptr, take_text};

fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)
}

fn number(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| ShimError(format!("{n} ranks are too many")))
}

/// Where ranks find each other.
#[derive(Debug)]
pub struct Store(raw::Store);

// SAFETY: a reference-counted pointer to a c10d store, whose methods take a lock of their own.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// For threads of this process.
    pub fn local() -> Result<Self> {
        let mut out = std::ptr::null_mut();
        // SAFETY: `out` receives an owned pointer on success.
        check(unsafe { raw::fl_store_local(&raw mut out) })?;
        Ok(Self(out))
    }

    /// For processes: at an address that this one serves, or another one does. Keys get a prefix.
    pub fn tcp(host: &str, port: u16, serve: bool, prefix: &str, timeout: Duration) -> Result<Self> {
        let (host, prefix) = (c_text(host)?, c_text(prefix)?);
        let mut out = std::ptr::null_mut();
        // SAFETY: valid strings; `out` receives an owned pointer on success.
        check(unsafe {
            raw::fl_store_tcp(host.as_ptr(), port, serve.into(), prefix.as_ptr(), millis(timeout), &raw mut out)
        })?;
        Ok(Self(out))
    }

    /// Sets a key.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (c_text(key)?, c_text(value)?);
        // SAFETY: a live store and valid strings.
        check(unsafe { raw::fl_store_set(self.0, key.as_ptr(), value.as_ptr()) })
    }

    /// Waits until a key is set.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<String> {
        let key = c_text(key)?;
        let mut out = std::ptr::null_mut();
        // SAFETY: a live store and a valid string; `out` receives a text on success.
        check(unsafe { raw::fl_store_get(self.0, key.as_ptr(), millis(timeout), &raw mut out) })?;
        Ok(take_text(out))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: owned, freed once. Groups hold references of their own.
        unsafe { raw::fl_store_free(self.0) }
    }
}

/// This rank's end of a group.
#[derive(Debug)]
pub struct Group {
    at: raw::Group,
    rank: usize,
    size: usize,
    /// Where GPUs talk over NCCL.
    brake: Option<Arc<Brake>>,
}

/// Frees GPUs that wait inside NCCL for a rank that is lost: unlike a connection of Gloo, nothing tells them.
#[derive(Debug)]
pub struct Brake(raw::Brake);

// SAFETY: a reference-counted pointer to a back end, whose abort takes locks of its own and is meant for other threads.
unsafe impl Send for Brake {}
// SAFETY: as above.
unsafe impl Sync for Brake {}

impl Brake {
    /// What the group computes from now on is worth nothing.
    pub fn pull(&self) {
        // SAFETY: a live back end. Where it fails there is nothing more to be done.
        let _ = check(unsafe { raw::fl_brake_pull(self.0) });
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        let _ = check(unsafe { raw::fl_brake_free(self.0) });
    }
}

// SAFETY: a reference-counted pointer to a process group, used by one thread at a time (it is not Sync).
unsafe impl Send for Group {}

impl Group {
    /// Joins a group over Gloo; returns when all ranks have. `host`: this rank's own address, the one that the machine's
    /// name leads to where it is empty; `interface` (`eth0`) goes before it. Nothing waits longer than `timeout`.
    pub fn gloo(
        store: &Store,
        rank: usize,
        size: usize,
        host: &str,
        interface: &str,
        timeout: Duration,
    ) -> Result<Self> {
        let (host, interface) = (c_text(host)?, c_text(interface)?);
        let mut at = std::ptr::null_mut();
        // SAFETY: a live store and valid strings; `at` receives an owned pointer on success.
        check(unsafe {
            raw::fl_group_gloo(
                store.0,
                number(rank)?,
                number(size)?,
                host.as_ptr(),
                interface.as_ptr(),
                millis(timeout),
                &raw mut at,
            )
        })?;
        Ok(Self { at, rank, size, brake: None })
    }

    /// Has what the group exchanges of the memory of GPU `device` go over NCCL, on all ranks, each with another GPU;
    /// [`super::nccl::load`] must have succeeded on all of them.
    pub fn go_over_nccl(&mut self, store: &Store, device: usize, timeout: Duration) -> Result<()> {
        // SAFETY: a live group and store.
        check(unsafe { raw::fl_group_nccl(self.at, store.0, number(device)?, millis(timeout)) })?;
        let mut out = std::ptr::null_mut();
        // SAFETY: a live group; `out` receives an owned pointer on success.
        check(unsafe { raw::fl_group_brake(self.at, &raw mut out) })?;
        self.brake = Some(Arc::new(Brake(out)));
        Ok(())
    }

    /// What ends that the GPUs wait for each other, where they talk over NCCL.
    pub fn brake(&self) -> Option<Arc<Brake>> {
        self.brake.clone()
    }

    /// This rank's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The sum over all ranks, in place.
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<()> {
        self.start_all_reduce(tensor)?.wait()
    }

    /// Begins [`Group::all_reduce`].
    pub fn start_all_reduce(&self, tensor: &Tensor) -> Result<Work> {
        let mut out = std::ptr::null_mut();
        // SAFETY: a live group and tensor; the work keeps the tensor's storage alive.
        check(unsafe { raw::fl_all_reduce(self.at, ptr(tensor), &raw mut out) })?;
        Ok(Work(out))
    }

    /// The values of rank `root` for everybody, in place.
    pub fn broadcast(&self, tensors: &TensorList, root: usize) -> Result<()> {
        // SAFETY: a live group, valid pointers and their number.
        check(unsafe { raw::fl_broadcast(self.at, tensors.at(), tensors.len(), number(root)?) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: owned, freed once. There is nobody to tell of an error.
        let _ = check(unsafe { raw::fl_group_free(self.at) });
    }
}

/// A sum on its way.
#[derive(Debug)]
pub struct Work(raw::Work);

// SAFETY: a reference-counted pointer to a work, whose wait takes a lock of its own.
unsafe impl Send for Work {}

impl Work {
    /// Waits until it is done.
    pub fn wait(mut self) -> Result<()> {
        // SAFETY: owned; freed by the call, whatever comes of it.
        check(unsafe { raw::fl_work_wait(std::mem::replace(&mut self.0, std::ptr::null_mut())) })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: owned and not waited for yet.
            let _ = check(unsafe { raw::fl_work_wait(self.0) });
        }
    }
}

/// Averages the gradients of some parameters over the ranks of a group, in buckets, while backward runs.
#[derive(Debug)]
pub struct Reducer(raw::Reducer);

// SAFETY: used by one thread at a time; its hooks on the parameters take a lock of its own.
unsafe impl Send for Reducer {}

impl Reducer {
    /// Over parameters that require gradients, the same ones on all ranks. `find_unused`: some may be no part of the graph.
    pub fn new(group: &Group, params: &TensorList, find_unused: bool) -> Result<Self> {
        let mut out = std::ptr::null_mut();
        // SAFETY: a live group, valid pointers and their number; the reducer holds references of its own.
        check(unsafe { raw::fl_reducer_new(group.at, params.at(), params.len(), find_unused.into(), &raw mut out) })?;
        Ok(Self(out))
    }

    /// Makes the next backward, from this loss, average the gradients; without it they stay local and add up.
    pub fn prepare(&self, loss: &Tensor) -> Result<()> {
        // SAFETY: a live reducer and tensor.
        check(unsafe { raw::fl_reducer_prepare(self.0, ptr(loss)) })
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: owned, freed once; takes its hooks off the parameters.
        let _ = check(unsafe { raw::fl_reducer_free(self.0) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tch::{Device, Kind};

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn what_c10d_reads_from_the_environment_is_set_before_anything_runs() {
        let set = |name: &str| std::env::var(format!("TORCH_{name}")).unwrap();
        assert_eq!(set("FR_BUFFER_SIZE"), "0");
        for name in ["NCCL_ASYNC_ERROR_HANDLING", "NCCL_ENABLE_MONITORING", "NCCL_RETHROW_CUDA_ERRORS"] {
            assert!(!set(name).is_empty(), "{name}");
        }
    }

    /// Runs `body` as `size` ranks on threads.
    fn ranks<T: Send + 'static>(size: usize, body: fn(Group) -> T) -> Vec<T> {
        let store = Arc::new(Store::local().unwrap());
        let threads: Vec<_> = (0..size)
            .map(|rank| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || body(Group::gloo(&store, rank, size, "127.0.0.1", "", WAIT).unwrap()))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.detach()).unwrap()
    }

    #[test]
    fn threads_add_up_and_copy_tensors() {
        let seen = ranks(3, |group| {
            let t = Tensor::from_slice(&[group.rank() as f32, 10.0]);
            group.all_reduce(&t).unwrap();
            let (a, b) = (Tensor::from_slice(&[group.rank() as f32]), Tensor::from_slice(&[group.rank() as i64]));
            group.broadcast(&TensorList::new([&a, &b]), 1).unwrap();
            (values(&t), values(&a), i64::try_from(b).unwrap())
        });
        assert!(seen.iter().all(|s| *s == (vec![3.0, 30.0], vec![1.0], 1)), "{seen:?}");
    }

    #[test]
    fn the_reducer_averages_gradients_and_leaves_alone_what_no_rank_uses() {
        let seen = ranks(2, |group| {
            let w = Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true);
            let unused = Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let reducer = Reducer::new(&group, &TensorList::new([&w, &unused]), true).unwrap();
            let loss = |scale: f64| (&w * scale).sum(Kind::Float);
            let scale = group.rank() as f64 + 1.0;
            // Not prepared: stays local.
            loss(scale).backward();
            let local = values(&w.grad());
            let last = loss(10.0 * scale);
            reducer.prepare(&last).unwrap();
            last.backward();
            (local, values(&w.grad()), unused.grad().defined())
        });
        assert_eq!(seen[0], (vec![1.0; 2], vec![16.5; 2], false));
        assert_eq!(seen[1], (vec![2.0; 2], vec![16.5; 2], false));
    }

    #[test]
    fn a_rank_that_leaves_fails_the_others_in_words_and_at_once() {
        let began = Instant::now();
        let seen = ranks(2, |group| {
            if group.rank() == 1 {
                return String::new();
            }
            group.all_reduce(&Tensor::zeros([4], (Kind::Float, Device::Cpu))).unwrap_err().to_string()
        });
        assert!(began.elapsed() < WAIT, "it waited for the timeout");
        assert!(!seen[0].is_empty() && !seen[0].contains('\n'), "{seen:?}");
    }

    /// What c10d keeps for all groups of a process must bear several of them at once.
    #[test]
    fn groups_of_one_process_come_and_go_beside_each_other() {
        let pairs = || {
            for _ in 0..10 {
                let sums = ranks(2, |group| {
                    let t = Tensor::from_slice(&[1.0f32]);
                    (0..20).for_each(|_| group.all_reduce(&t).unwrap());
                    values(&t)
                });
                assert_eq!(sums, [[1_048_576.0], [1_048_576.0]]);
            }
        };
        std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(pairs))));
    }

    #[test]
    fn processes_meet_at_an_address() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Store::tcp("127.0.0.1", port, true, "run/", WAIT).unwrap();
        let client = Store::tcp("127.0.0.1", port, false, "run/", WAIT).unwrap();
        server.set("at", "here").unwrap();
        assert_eq!(client.get("at", WAIT).unwrap(), "here");
        assert!(client.get("nowhere", Duration::from_millis(50)).is_err());
    }
}

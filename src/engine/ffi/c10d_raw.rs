//! The C functions of `c10d.cpp`.

use std::ffi::{c_char, c_int, c_void};

use super::raw::T;

/// `c10::intrusive_ptr<c10d::Store>*`.
pub type Store = *mut c_void;
/// `fl::Group*`.
pub type Group = *mut c_void;
/// `c10::intrusive_ptr<c10d::Backend>*`.
pub type Brake = *mut c_void;
/// `c10::intrusive_ptr<c10d::Work>*`.
pub type Work = *mut c_void;
/// `c10d::Reducer*`.
pub type Reducer = *mut c_void;
/// A message to free, or null.
type E = *mut c_char;

unsafe extern "C" {
    pub fn fl_store_local(out: *mut Store) -> E;
    pub fn fl_store_tcp(
        host: *const c_char,
        port: u16,
        serve: c_int,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut Store,
    ) -> E;
    pub fn fl_store_free(store: Store);
    pub fn fl_store_set(store: Store, key: *const c_char, value: *const c_char) -> E;
    pub fn fl_store_get(store: Store, key: *const c_char, timeout_ms: i64, out: *mut *mut c_char) -> E;
    pub fn fl_group_gloo(
        store: Store,
        rank: c_int,
        size: c_int,
        host: *const c_char,
        interface: *const c_char,
        timeout_ms: i64,
        out: *mut Group,
    ) -> E;
    pub fn fl_nccl_load(path: *const c_char) -> E;
    pub fn fl_group_nccl(group: Group, store: Store, device: c_int, timeout_ms: i64) -> E;
    pub fn fl_group_brake(group: Group, out: *mut Brake) -> E;
    pub fn fl_brake_pull(brake: Brake) -> E;
    pub fn fl_brake_free(brake: Brake) -> E;
    pub fn fl_group_free(group: Group) -> E;
    pub fn fl_all_reduce(group: Group, tensor: T, out: *mut Work) -> E;
    pub fn fl_work_wait(work: Work) -> E;
    pub fn fl_broadcast(group: Group, tensors: *const T, n: usize, root: c_int) -> E;
    pub fn fl_reducer_new(group: Group, params: *const T, n: usize, find_unused: c_int, out: *mut Reducer) -> E;
    pub fn fl_reducer_free(reducer: Reducer) -> E;
    pub fn fl_reducer_prepare(reducer: Reducer, loss: T) -> E;
}

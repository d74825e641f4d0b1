//! Downloading into the cache: resumable, checked, and never half-written under the file's own name.
//!
//! Bytes go into `FILE.frostline-partial` beside the file's place, which a broken-off download leaves for the next one.
//! Its lock makes several processes wait for one download.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use fs4::fs_std::FileExt;
use ureq::http::StatusCode;

use super::cache::check_hash;
use super::{Hub, HubError, NamedWeights};
use crate::core::io::fsync_dir;

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there, those of an earlier try included.
    pub done: u64,
    /// Bytes of the file, if the server says.
    pub total: Option<u64>,
}

/// Tries in a row that bring nothing new before it is given up.
const TRIES: u32 = 3;
/// Without a byte for so long the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Before the next try, times the number of failures.
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes between two reports of progress.
const REPORT: u64 = 256 << 10;

impl Hub {
    /// The file in the cache, downloaded if it is not there.
    pub fn fetch(&self, weights: &NamedWeights, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, HubError> {
        if let Some(path) = self.find(weights)? {
            return Ok(path);
        }
        std::fs::create_dir_all(&self.folder).map_err(|source| io(&self.folder, "create", source))?;
        let path = self.path(weights);
        let partial = self.folder.join(format!("{}.frostline-partial", weights.file));
        let mut file = open_locked(&partial)?;
        // Whoever held the lock may have done it.
        if let Some(path) = self.find(weights)? {
            let _ = std::fs::remove_file(&partial);
            return Ok(path);
        }
        self.fill(weights, &partial, &mut file, progress)?;
        let spoilt = "the download was damaged and is discarded; try again";
        if let Err(error) = check_hash(&partial, weights.sha256_prefix(), spoilt) {
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
        file.sync_all().map_err(|source| io(&partial, "flush", source))?;
        std::fs::rename(&partial, &path).map_err(|source| io(&path, "put in place", source))?;
        fsync_dir(&self.folder).map_err(|source| io(&self.folder, "flush", source))?;
        Ok(path)
    }

    /// Requests until everything is there, or nothing comes any more.
    fn fill(
        &self,
        weights: &NamedWeights,
        partial: &Path,
        file: &mut File,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), HubError> {
        let url = self.url(weights);
        let length = |file: &File| file.metadata().map_or(0, |m| m.len());
        let mut failures = 0;
        loop {
            let before = length(file);
            match attempt(&url, partial, file, progress) {
                Ok(()) => return Ok(()),
                Err(Trouble::Local(error)) => return Err(error),
                Err(Trouble::Remote { problem, fatal }) => {
                    failures = if length(file) > before { 1 } else { failures + 1 };
                    if !fatal && failures < TRIES {
                        std::thread::sleep(PAUSE * failures);
                        continue;
                    }
                    let kept = length(file);
                    if kept == 0 {
                        let _ = std::fs::remove_file(partial);
                    }
                    let path = self.path(weights);
                    return Err(HubError::Download { label: weights.label(), url, problem, path, kept });
                }
            }
        }
    }
}

enum Trouble {
    /// The disk's.
    Local(HubError),
    /// The network's; a fatal one would be the same at the next try.
    Remote { problem: String, fatal: bool },
}

fn remote(problem: impl ToString) -> Trouble {
    Trouble::Remote { problem: first_line(&problem.to_string()), fatal: false }
}

/// One request for what is missing.
fn attempt(url: &str, partial: &Path, file: &mut File, progress: &mut dyn FnMut(Progress)) -> Result<(), Trouble> {
    let local = |what| move |source| Trouble::Local(io(partial, what, source));
    let mut done = file.metadata().map_err(local("read"))?.len();
    let mut response = request(url, done)?;
    let status = response.status();
    if done > 0 && status == StatusCode::RANGE_NOT_SATISFIABLE {
        // It is longer than the file: not a part of it.
        file.set_len(0).map_err(local("write"))?;
        done = 0;
        response = request(url, 0)?;
    }
    let status = response.status();
    if !status.is_success() {
        // A busy server may be free at the next try; a file that is not there stays away.
        return Err(Trouble::Remote { problem: format!("HTTP {status}"), fatal: status.is_client_error() });
    }
    if status != StatusCode::PARTIAL_CONTENT && done > 0 {
        // The server sends it from the start.
        file.set_len(0).map_err(local("write"))?;
        done = 0;
    }
    let length = header(&response, "content-length").and_then(|v| v.parse::<u64>().ok());
    let total = length.map(|n| n + done);
    if let (Some(total), Ok(free)) = (total, fs4::available_space(partial))
        && free < total - done
    {
        let source = std::io::Error::new(
            std::io::ErrorKind::StorageFull,
            format!("{} bytes are to come and {free} are free", total - done),
        );
        return Err(Trouble::Local(io(partial, "write", source)));
    }
    file.seek(SeekFrom::Start(done)).map_err(local("write"))?;
    progress(Progress { done, total });
    // Read on a thread of its own, so that a silent connection is noticed.
    let (send, receive) = sync_channel::<std::io::Result<Vec<u8>>>(4);
    let mut body = response.into_body().into_reader();
    let reader = std::thread::Builder::new().name("download".to_owned()).spawn(move || {
        loop {
            let mut chunk = vec![0; 128 << 10];
            let read = body.read(&mut chunk).map(|n| {
                chunk.truncate(n);
                chunk
            });
            let last = read.as_ref().map_or(true, Vec::is_empty);
            if send.send(read).is_err() || last {
                return;
            }
        }
    });
    reader.map_err(remote)?;
    let mut reported = done;
    loop {
        match receive.recv_timeout(SILENCE) {
            Ok(Ok(chunk)) if chunk.is_empty() => break,
            Ok(Ok(chunk)) => {
                file.write_all(&chunk).map_err(local("write"))?;
                done += chunk.len() as u64;
                if done - reported >= REPORT {
                    progress(Progress { done, total });
                    reported = done;
                }
            }
            Ok(Err(e)) => return Err(remote(e)),
            Err(RecvTimeoutError::Timeout) => {
                return Err(remote(format!("nothing came for {} s", SILENCE.as_secs())));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(remote("the connection was lost")),
        }
    }
    progress(Progress { done, total });
    match total {
        Some(total) if done < total => Err(remote(format!("it ended after {done} of {total} bytes"))),
        _ => Ok(()),
    }
}

fn request(url: &str, from: u64) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .user_agent(concat!("frostline/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut request = ureq::Agent::from(config).get(url);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let response = request.call().map_err(remote)?;
    // A range that begins elsewhere must not be appended.
    if response.status() == StatusCode::PARTIAL_CONTENT
        && !header(&response, "content-range").is_some_and(|r| r.starts_with(&format!("bytes {from}-")))
    {
        return Err(remote("the server sent another part of the file than was asked for"));
    }
    Ok(response)
}

fn header<'a>(response: &'a ureq::http::Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The partial file, ours alone. It may be renamed or removed while we wait: then the one that is there now is taken.
fn open_locked(partial: &Path) -> Result<File, HubError> {
    use std::os::unix::fs::MetadataExt;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(partial)
            .map_err(|source| io(partial, "open", source))?;
        FileExt::lock_exclusive(&file).map_err(|source| io(partial, "lock", source))?;
        let same = |there: std::fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
        if std::fs::metadata(partial).is_ok_and(same) {
            return Ok(file);
        }
    }
}

fn io(path: &Path, what: &'static str, source: std::io::Error) -> HubError {
    HubError::Io { path: path.to_owned(), what, source }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

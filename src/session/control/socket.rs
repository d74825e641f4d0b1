//! Unix sockets by paths of any length, for one user alone.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket's address holds a path of at most so many bytes (`sun_path`, less the NUL).
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Another name of a file whose path is too long for a socket's address: through the open folder. Holds it open.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

fn short(path: &Path) -> io::Result<Short> {
    if path.as_os_str().len() <= LONGEST || !cfg!(target_os = "linux") {
        return Ok(Short { path: path.to_owned(), _folder: None });
    }
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok(Short { path, _folder: Some(folder) })
}

/// Binds a socket that its user alone can open. What an earlier host left there is taken away: the caller owns the run.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(short(path)?.path)?;
    // Until here the folder's mode (0700) and the check of each peer keep others out.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to a host.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(short(path)?.path)
}

/// Whether the process at the other end is this user's, or root's (who could do all this anyway).
pub fn is_own(stream: impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        let own = rustix::process::geteuid();
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
    }
    // Elsewhere the modes of the folder and of the socket decide.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_path_of_any_length_is_bound_and_found_and_is_its_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        for depth in [0, 4] {
            let folder = (0..depth).fold(dir.path().to_owned(), |p, _| p.join("a-folder-with-a-rather-long-name-氷"));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("control.sock");
            std::fs::write(&path, "stale").unwrap();
            let listener = bind(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            let mut client = connect(&path).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            assert!(is_own(&server) && is_own(&client));
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
    }
}

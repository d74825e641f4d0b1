//! The place of this process among several that train together, as `torchrun` and `torch.distributed` say it in the environment,
//! or what else started it.

mod launcher;

use std::time::Duration;

use super::EngineError;

/// The variable with the longest silence of a rank, in seconds.
pub const HEARTBEAT: &str = "FROSTLINE_HEARTBEAT";

/// A process's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Number of this process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub size: usize,
    /// Its number on this machine, which chooses its device.
    pub local_rank: usize,
    /// Processes on this machine.
    pub local_size: usize,
    /// Where rank 0 is, and the port of the store in which all meet.
    pub master: String,
    /// See `master`.
    pub port: u16,
    /// `torchrun` serves the store; otherwise rank 0 does.
    pub agent: bool,
    /// Keys of the store begin with it.
    pub prefix: String,
    /// The network interface to use, `eth0`; empty where the system chooses.
    pub interface: String,
    /// A rank that is silent for so long is lost.
    pub heartbeat: Duration,
}

impl Seat {
    /// From the environment; `None` where this process is alone.
    ///
    /// # Errors
    /// In words, where the variables make no sense.
    pub fn of_process() -> Result<Option<Self>, EngineError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// From a look-up of variables.
    ///
    /// # Errors
    /// As [`Seat::of_process`].
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, EngineError> {
        let refuse = |words: String| Err::<Option<Self>, _>(EngineError::Refused(words));
        let number = |name: &str| match get(name).filter(|v| !v.trim().is_empty()) {
            None => Ok(None),
            Some(v) => match v.trim().parse::<usize>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(EngineError::Refused(format!(
                    "{name}={v} in the environment: it must be a whole number, as torchrun sets it"
                ))),
            },
        };
        let launcher = match number("WORLD_SIZE")? {
            None => launcher::find(&get),
            Some(_) => None,
        };
        let size = number("WORLD_SIZE")?.or(launcher.as_ref().map(|l| l.size)).unwrap_or(1);
        if size <= 1 {
            return Ok(None);
        }
        let Some(rank) = launcher.as_ref().map_or_else(|| number("RANK"), |l| Ok(Some(l.rank)))? else {
            return refuse(format!(
                "WORLD_SIZE={size} in the environment, but no RANK: set RANK, MASTER_ADDR and MASTER_PORT too, as torchrun \
                 does, or unset WORLD_SIZE to train alone"
            ));
        };
        if rank >= size {
            return refuse(format!("RANK={rank} in the environment: it must be below WORLD_SIZE={size}"));
        }
        let master = get("MASTER_ADDR").filter(|m| !m.is_empty()).or_else(|| launcher.as_ref()?.master.clone());
        let port = number("MASTER_PORT")?.or(launcher.as_ref().map(|l| l.port));
        let (Some(master), Some(port)) = (master, port) else {
            return refuse(match &launcher {
                Some(l) => format!(
                    "{} started {size} processes on several machines: set MASTER_ADDR to the machine of its first process \
                     (WORLD_SIZE=1 lets each train alone)",
                    l.name
                ),
                None => format!(
                    "RANK={rank} and WORLD_SIZE={size} in the environment, but no MASTER_ADDR and MASTER_PORT: set them to \
                     where rank 0 is and to a free port there"
                ),
            });
        };
        let Ok(port) = u16::try_from(port) else {
            return refuse(format!("MASTER_PORT={port} in the environment: a port is below 65536"));
        };
        let (local_rank, local_size) = match &launcher {
            Some(l) => (l.local_rank, l.local_size),
            None => (number("LOCAL_RANK")?, number("LOCAL_WORLD_SIZE")?),
        };
        let heartbeat = match get(HEARTBEAT) {
            None => Duration::from_secs(30),
            Some(v) => match v.trim().parse::<f64>() {
                Ok(s) if (0.1..=86400.0).contains(&s) => Duration::from_secs_f64(s),
                _ => return refuse(format!("{HEARTBEAT}={v} in the environment: give seconds, from 0.1 to 86400")),
            },
        };
        let agent = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True");
        let attempt = get("TORCHELASTIC_RESTART_COUNT").unwrap_or_default();
        Ok(Some(Self {
            rank,
            size,
            local_rank: local_rank.unwrap_or(rank),
            // Where nobody says, all are taken to be on one machine if this one is told to be any on it.
            local_size: local_size.unwrap_or(if local_rank.is_some() { 1 } else { size }),
            master,
            port,
            agent,
            prefix: format!("frostline/{attempt}"),
            interface: get("GLOO_SOCKET_IFNAME")
                .and_then(|v| v.split(',').next().map(str::to_owned))
                .unwrap_or_default(),
            heartbeat,
        }))
    }

    /// Whether all are on this machine and meet at its loopback address.
    pub fn is_loopback(&self) -> bool {
        self.master == "localhost" || self.master.starts_with("127.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Option<Seat>, String> {
        Seat::read(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())).map_err(|e| e.to_string())
    }

    #[test]
    fn a_process_that_nobody_counts_is_alone() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
        assert_eq!(read(&[("MASTER_ADDR", "node1")]), Ok(None));
    }

    #[test]
    fn torchruns_environment_gives_a_place() {
        let set = [
            ("RANK", "3"),
            ("LOCAL_RANK", "1"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_WORLD_SIZE", "2"),
            ("MASTER_ADDR", "node1"),
            ("MASTER_PORT", "29500"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("GLOO_SOCKET_IFNAME", "eth0,eth1"),
            (HEARTBEAT, "2.5"),
        ];
        let seat = read(&set).unwrap().unwrap();
        assert_eq!((seat.rank, seat.size, seat.local_rank, seat.local_size), (3, 4, 1, 2));
        assert_eq!((seat.master.as_str(), seat.port, seat.agent), ("node1", 29500, true));
        assert_eq!((seat.prefix.as_str(), seat.interface.as_str()), ("frostline/2", "eth0"));
        assert_eq!(seat.heartbeat, Duration::from_millis(2500));
        assert!(!seat.is_loopback());
    }

    #[test]
    fn a_launchers_own_names_serve_where_nobody_set_torchruns() {
        let mpi = [
            ("OMPI_COMM_WORLD_RANK", "2"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "0"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let words = read(&mpi).unwrap_err();
        assert!(words.starts_with("Open MPI started 4 processes on several machines: set MASTER_ADDR"), "{words}");
        let seat = read(&[&mpi[..], &[("MASTER_ADDR", "node1")]].concat()).unwrap().unwrap();
        assert_eq!((seat.rank, seat.size, seat.local_rank, seat.local_size), (2, 4, 0, 2));
        assert_eq!((seat.master.as_str(), seat.port), ("node1", 29500));
        let seat = read(&[&mpi[..], &[("MASTER_ADDR", "node1"), ("MASTER_PORT", "7")]].concat()).unwrap().unwrap();
        assert_eq!(seat.port, 7);
        // What is set by hand, or by a torchrun below it, counts alone.
        assert_eq!(read(&[&mpi[..], &[("WORLD_SIZE", "1")]].concat()), Ok(None));
        assert!(read(&[&mpi[..], &[("WORLD_SIZE", "2")]].concat()).unwrap_err().contains("no RANK"));
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_variable() {
        let whole = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")];
        assert!(read(&whole).unwrap().unwrap().is_loopback());
        let with = |name: &'static str, value: &'static str| {
            let mut set = whole.to_vec();
            set.retain(|(n, _)| *n != name);
            if !value.is_empty() {
                set.push((name, value));
            }
            read(&set).unwrap_err()
        };
        assert!(with("RANK", "").contains("no RANK"));
        assert!(with("RANK", "2").contains("below WORLD_SIZE=2"));
        assert!(with("RANK", "x").contains("RANK=x"));
        assert!(with("MASTER_ADDR", "").contains("no MASTER_ADDR"));
        assert!(with("MASTER_PORT", "70000").contains("MASTER_PORT=70000"));
        assert!(with(HEARTBEAT, "0").contains("FROSTLINE_HEARTBEAT=0"));
    }
}

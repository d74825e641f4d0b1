//! What Slurm and MPI's launchers say of a process that they started, under names of their own.
//!
//! Sources: "Output environment variables" in srun's manual; Open MPI's documentation, "Environment variables that Open MPI
//! sets"; MPICH's Hydra, whose names Intel MPI and MVAPICH share.

/// What the launcher says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// What messages call it.
    pub name: &'static str,
    /// As in [`super::Seat`].
    pub rank: usize,
    /// As in [`super::Seat`].
    pub size: usize,
    /// As in [`super::Seat`].
    pub local_rank: Option<usize>,
    /// As in [`super::Seat`].
    pub local_size: Option<usize>,
    /// Where rank 0 is, where that is known.
    pub master: Option<String>,
    /// The port that all processes of this launch take where nobody names one.
    pub port: usize,
}

/// PyTorch's own, of `env://`.
const PORT: usize = 29500;

/// Of several processes; `None` where the launcher started one alone, or there is none.
pub fn find(get: impl Fn(&str) -> Option<String>) -> Option<Launcher> {
    let number = |name: &str| get(name)?.trim().parse::<usize>().ok();
    slurm(&get, &number).or_else(|| open_mpi(&number)).or_else(|| hydra(&number)).filter(|l| l.size > 1)
}

fn slurm(get: &impl Fn(&str) -> Option<String>, number: &impl Fn(&str) -> Option<usize>) -> Option<Launcher> {
    // The numbers of the step, not those of the job: a batch script has the latter too, and is one process. A shell that
    // `srun --pty` opened is the only process of its step that does anything.
    let size = number("SLURM_STEP_NUM_TASKS")?;
    if get("SLURM_PTY_PORT").is_some() {
        return None;
    }
    let node = number("SLURM_NODEID")?;
    // Two steps at once on one machine, of one job or of two, want two ports.
    let of = |name| number(name).unwrap_or(0) % 10000;
    let port = 15000 + (of("SLURM_JOB_ID") * 16 + of("SLURM_STEP_ID")) % 10000;
    Some(Launcher {
        name: "Slurm",
        rank: number("SLURM_PROCID")?,
        size,
        local_rank: number("SLURM_LOCALID"),
        local_size: get("SLURM_STEP_TASKS_PER_NODE").and_then(|list| tasks_on(&list, node)),
        master: get("SLURM_STEP_NODELIST").and_then(|list| first_host(&list)),
        port,
    })
}

fn open_mpi(number: &impl Fn(&str) -> Option<usize>) -> Option<Launcher> {
    Some(on_machines(Launcher {
        name: "Open MPI",
        rank: number("OMPI_COMM_WORLD_RANK")?,
        size: number("OMPI_COMM_WORLD_SIZE")?,
        local_rank: number("OMPI_COMM_WORLD_LOCAL_RANK"),
        local_size: number("OMPI_COMM_WORLD_LOCAL_SIZE"),
        master: None,
        port: PORT,
    }))
}

fn hydra(number: &impl Fn(&str) -> Option<usize>) -> Option<Launcher> {
    Some(on_machines(Launcher {
        name: "mpiexec",
        rank: number("PMI_RANK")?,
        size: number("PMI_SIZE")?,
        // Without these it is not known who shares a machine: another PMI.
        local_rank: Some(number("MPI_LOCALRANKID")?),
        local_size: Some(number("MPI_LOCALNRANKS")?),
        master: None,
        port: PORT,
    }))
}

/// MPI's launchers do not say where rank 0 is; it is here if all are.
fn on_machines(mut launcher: Launcher) -> Launcher {
    if launcher.local_size == Some(launcher.size) {
        launcher.master = Some("127.0.0.1".to_owned());
    }
    launcher
}

/// Of `2(x3),1`: two on each of three machines, one on the fourth.
fn tasks_on(list: &str, node: usize) -> Option<usize> {
    let mut before = 0;
    for part in list.split(',') {
        let (tasks, machines) = match part.split_once("(x") {
            Some((tasks, machines)) => (tasks, machines.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        before = usize::saturating_add(before, machines);
        if node < before {
            return tasks.trim().parse().ok();
        }
    }
    None
}

/// The first of `gpu[03-07,12]-ib,cpu1`: `gpu03-ib`.
fn first_host(list: &str) -> Option<String> {
    let (mut host, mut in_brackets, mut taken) = (String::new(), false, false);
    for c in list.trim().chars() {
        match c {
            '[' => (in_brackets, taken) = (true, false),
            ']' => in_brackets = false,
            ',' if !in_brackets => break,
            ',' | '-' if in_brackets => taken = true,
            _ if in_brackets && taken => {}
            c => host.push(c),
        }
    }
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&str, &str)]) -> Option<Launcher> {
        find(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    // As Slurm 22.05 set them for `srun -N2 -n3`, rank 2.
    const STEP: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "31"),
        ("SLURM_STEP_ID", "2"),
        ("SLURM_PROCID", "2"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_NODEID", "1"),
        ("SLURM_NTASKS", "3"),
        ("SLURM_STEP_NUM_TASKS", "3"),
        ("SLURM_STEP_TASKS_PER_NODE", "2,1"),
        ("SLURM_STEP_NODELIST", "n[1-2]"),
    ];

    #[test]
    fn a_task_of_slurm_has_its_place_and_all_take_one_port() {
        let l = found(STEP).unwrap();
        assert_eq!((l.rank, l.size, l.local_rank, l.local_size), (2, 3, Some(0), Some(1)));
        assert_eq!((l.master.as_deref(), l.port), (Some("n1"), 15000 + 31 * 16 + 2));
        // Whatever the numbers, a port.
        let vast: Vec<_> =
            STEP.iter().map(|&(n, v)| (n, if n.ends_with("_ID") { "18446744073709551615" } else { v })).collect();
        assert!((15000..25000).contains(&found(&vast).unwrap().port));
    }

    #[test]
    fn a_batch_script_and_a_shell_of_slurm_are_alone() {
        let script: Vec<_> = STEP.iter().copied().filter(|(n, _)| !n.starts_with("SLURM_STEP")).collect();
        assert_eq!(found(&script), None);
        assert_eq!(found(&[STEP, &[("SLURM_PTY_PORT", "43537")]].concat()), None);
        let one: Vec<_> = STEP.iter().map(|&(n, v)| (n, if n == "SLURM_STEP_NUM_TASKS" { "1" } else { v })).collect();
        assert_eq!(found(&one), None);
    }

    #[test]
    fn mpis_processes_on_one_machine_meet_there() {
        let open = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let l = found(&open).unwrap();
        assert_eq!((l.rank, l.size, l.local_rank, l.local_size), (1, 2, Some(1), Some(2)));
        assert_eq!(l.master.as_deref(), Some("127.0.0.1"));
        let mpich = [("PMI_RANK", "1"), ("PMI_SIZE", "4"), ("MPI_LOCALRANKID", "1"), ("MPI_LOCALNRANKS", "2")];
        let l = found(&mpich).unwrap();
        assert_eq!((l.rank, l.size, l.local_rank, l.local_size, l.master), (1, 4, Some(1), Some(2), None));
    }

    #[test]
    fn lists_of_slurm_are_read() {
        for (list, counts) in
            [("2(x2)", vec![2, 2]), ("2(x3),1", vec![2, 2, 2, 1]), ("4", vec![4]), ("1,3(x2)", vec![1, 3, 3])]
        {
            for (node, count) in counts.iter().enumerate() {
                assert_eq!(tasks_on(list, node), Some(*count), "{list}");
            }
            assert_eq!(tasks_on(list, counts.len()), None);
        }
        for bad in ["", "x", "2(x", "2(xy)", "x(x18446744073709551615),x(x2)"] {
            assert_eq!(tasks_on(bad, 0), None);
        }
        for (list, first) in [
            ("node1", "node1"),
            ("node1,node2", "node1"),
            ("n[1-2]", "n1"),
            ("gpu[03-07,12]-ib,cpu1", "gpu03-ib"),
            ("gpu[12,14]", "gpu12"),
            ("rack[0-1]n[3-4]", "rack0n3"),
            ("a-b-c", "a-b-c"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
        }
        assert_eq!(first_host(""), None);
    }
}

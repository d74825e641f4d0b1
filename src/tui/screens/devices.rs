//! What can compute, what it does, and what the next run takes of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::empty;
use super::runs::position;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::devices::{Devices, State};
use crate::app::format::{bytes, degrees, percent, watts};
use crate::app::model::Subject;
use crate::core::device::Reading;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::table::{self, Cell, Column};
use crate::tui::widgets::{gauge, spark, text};

const COLUMNS: [Column; 8] = [
    Column { title: "", width: 1, grows: false, right: false, rank: 0 },
    Column { title: "device", width: 6, grows: false, right: false, rank: 0 },
    Column { title: "model", width: 10, grows: true, right: false, rank: 4 },
    Column { title: "load", width: 12, grows: false, right: false, rank: 1 },
    Column { title: "last minute", width: TREND as u16, grows: false, right: false, rank: 6 },
    Column { title: "memory", width: 25, grows: false, right: false, rank: 2 },
    Column { title: "temp", width: 6, grows: false, right: true, rank: 3 },
    Column { title: "power", width: 9, grows: false, right: true, rank: 5 },
];

/// Cells of a curve, and of a gauge.
const TREND: usize = 12;
const GAUGE: usize = 6;
/// Degrees from which a GPU slows itself down before long.
const HOT: f64 = 85.0;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let devices = &model.devices;
    let rows = devices.rows();
    if rows.is_empty() {
        return empty(f, area, look, &["looking for devices…".to_owned()]);
    }
    let below = details(model, look);
    // The list first; of what is said below it, the first lines. On a low screen one line, where something is wrong.
    let need = rows.len() as u16 + 1;
    let room = match area.height {
        0..3 => 0,
        low @ 3..8 => u16::from(below.iter().any(|(_, scope)| *scope == Scope::Warning) && low >= 3),
        height => height.saturating_sub(need + 1).max(2).min(height - 3),
    };
    let list = Rect { height: area.height - room, ..area };
    let list = Rect { height: list.height.min(need), ..list };
    table::draw(f, list, look, &COLUMNS, (rows.len(), devices.cursor), |i| cells(&rows[i], devices, look));
    position(f, area, look, "", (devices.cursor, rows.len()));
    let gap = u16::from(area.height >= 8);
    let mut lines = below;
    if room == 1 {
        lines.retain(|(_, scope)| *scope == Scope::Warning);
    }
    let at = Rect { y: list.bottom() + gap, height: area.bottom().saturating_sub(list.bottom() + gap), ..area };
    let width = usize::from(area.width.saturating_sub(2)).max(1);
    let wrapped = lines.iter().flat_map(|(words, scope)| {
        let lines = match area.height {
            0..8 => vec![text::cut(words, width, look.glyphs.ellipsis)],
            _ => text::wrap(words, width),
        };
        lines.into_iter().map(|l| (l, *scope))
    });
    for (row, (line, scope)) in wrapped.take(usize::from(at.height)).enumerate() {
        let at = Rect { y: at.y + row as u16, height: 1, ..at };
        f.render_widget(Line::styled(format!(" {line}"), look.style(scope)), at);
    }
}

fn cells(device: &Reading, devices: &Devices, look: &Look) -> Vec<Cell> {
    let (dim, warning) = (look.style(Scope::TextDim), look.style(Scope::Warning));
    let picked = devices.is_picked(&device.name);
    let state = devices.state(device);
    let name = if state == State::Absent { dim } else { look.style(Scope::Text) };
    let mut cells = vec![
        Cell::new(if picked { look.glyphs.trainable } else { "" }, look.style(Scope::HintKey)),
        Cell::new(device.name.as_str(), name),
        Cell::new(device.model.as_str(), dim),
    ];
    // What cannot be used says so where its load would stand.
    let word = match state {
        State::Absent => Some(("none", dim)),
        State::Unusable => Some(("unusable", warning)),
        State::Troubled => Some(("in trouble", look.style(Scope::Error))),
        State::Unknown | State::Usable => None,
    };
    let gauge = |part: f64| {
        let (full, rest) = gauge::cells(part, GAUGE);
        look.glyphs.full.repeat(full) + &look.glyphs.rest.repeat(rest)
    };
    cells.push(match (word, device.load) {
        (Some((word, style)), _) => Cell::new(word, style),
        (None, Some(load)) => Cell::new(format!("{} {}", gauge(load), percent(load)), look.style(Scope::GaugeFull)),
        (None, None) => Cell::new("-", dim),
    });
    let curve = spark::within((0.0, 1.0), &devices.loads(&device.name), TREND, &look.glyphs);
    cells.push(Cell::new(curve, look.style(Scope::chart(0))));
    let known = device.problem.is_none();
    cells.push(match device.memory_part().filter(|_| known) {
        Some(part) => {
            let full = part > 0.95;
            let words = format!("{} {} of {}", gauge(part), bytes(device.memory_used), bytes(device.memory_total));
            Cell::new(words, if full { warning } else { look.style(Scope::GaugeFull) })
        }
        None if device.memory_total > 0 => Cell::new(bytes(device.memory_total), dim),
        None => Cell::new("", dim),
    });
    let warmth = device.temperature;
    let hot = warmth.is_some_and(|t| t >= HOT);
    let words = |value: Option<String>| look.glyphs.plain(&value.unwrap_or_default());
    cells.push(Cell::new(words(warmth.map(degrees)), if hot { warning } else { dim }));
    cells.push(Cell::new(words(device.power.map(|now| watts(now, device.power_limit))), dim));
    cells
}

/// What is said below the list, the most important first.
fn details(model: &Model, look: &Look) -> Vec<(String, Scope)> {
    let devices = &model.devices;
    let mut lines = Vec::new();
    let mut say = |text: String, scope| lines.push((look.glyphs.plain(&text), scope));
    if let Some(device) = devices.selected() {
        let state = devices.state(device);
        if let Some(why) = device.unusable.as_ref().or(device.problem.as_ref()) {
            let scope = if state == State::Absent { Scope::TextDim } else { Scope::Warning };
            say(format!("{}: {why}", device.name), scope);
        }
        if let Some(facts) = facts(device) {
            say(facts, Scope::Text);
        }
        if !device.processes.is_empty() {
            say(processes(device), Scope::TextDim);
        }
        for run in [&model.hosted, &model.attached].into_iter().flatten().filter_map(|id| model.view(id)) {
            // Replicas on the CPU are on one device.
            let here = |d: &String| {
                *d == device.name || d.split_once(':').is_some_and(|(kind, _)| kind == "cpu" && kind == device.name)
            };
            if run.status.is_live() && run.devices.iter().any(here) {
                say(format!("{} trains here: step {} of {}", run.name, run.step, run.steps), Scope::Good);
            }
        }
    }
    if let Some(problem) = devices.no_engine() {
        say(format!("Nothing can be trained here: {problem}"), Scope::Warning);
    } else if let Some(why) = devices.cuda_off() {
        say(
            format!("CUDA is off: {why}. Runs train on the CPU: train.devices = [\"cpu\"], or \"auto\"."),
            Scope::TextDim,
        );
    }
    say(next_run(model), Scope::Text);
    if let Some((words, scope)) = fit(model) {
        say(words, scope);
    }
    for note in devices.survey.iter().flat_map(|s| &s.notes) {
        say(note.clone(), Scope::TextDim);
    }
    lines
}

fn facts(device: &Reading) -> Option<String> {
    let mut parts = Vec::new();
    match device.threads {
        Some(1) => parts.push("1 thread".to_owned()),
        Some(n) => parts.push(format!("{n} threads")),
        None => {}
    }
    parts.extend(device.capability.as_ref().map(|c| format!("compute capability {c}")));
    parts.extend(device.pci.as_ref().filter(|p| !p.is_empty()).map(|p| format!("PCI {p}")));
    if device.problem.is_none() && device.memory_total > 0 {
        parts.push(format!("{} free", bytes(device.memory_free)));
    }
    parts.extend(device.memory_own.map(|own| format!("{} of this process", bytes(own))));
    (!parts.is_empty()).then(|| format!("{}, {}: {}", device.name, device.model, parts.join(", ")))
}

fn processes(device: &Reading) -> String {
    let one = |p: &crate::core::device::DeviceProcess| {
        let name = p.name.as_deref().unwrap_or("process");
        let memory = p.memory.map(|m| format!(" {}", bytes(m))).unwrap_or_default();
        format!("{name} {}{}{memory}", p.pid, if p.own { " (this one)" } else { "" })
    };
    let all: Vec<String> = device.processes.iter().map(one).collect();
    format!("on it: {}", all.join(", "))
}

/// Where the next run would train.
fn next_run(model: &Model) -> String {
    let key = model.keymap.first(Action::PickDevice);
    let draft = model.draft.as_ref();
    let name = draft.map_or_else(
        || "The next run".to_owned(),
        |d| d.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    );
    match (model.devices.picked(), draft) {
        ([], None) => format!("{name} trains where its recipe says; {key} picks devices for it."),
        ([], Some(draft)) => {
            let asked = &draft.recipe.train.devices;
            match model.devices.meant(asked) {
                Ok(meant) if meant == *asked => format!("{name} trains on {}; {key} picks others.", meant.join(", ")),
                Ok(meant) => {
                    format!("{name} trains on {}, now {}; {key} picks others.", asked.join(", "), meant.join(", "))
                }
                Err(problem) => format!("{name}: {problem}"),
            }
        }
        (picked, _) => {
            let esc = model.keymap.first(Action::Back);
            format!("{name} trains on {}, as picked; {esc} leaves it to the recipe.", picked.join(", "))
        }
    }
}

/// What the draft on view would hold, and whether the devices that it would train on have room for it.
fn fit(model: &Model) -> Option<(String, Scope)> {
    let draft = model.draft.as_ref().filter(|_| model.subject == Subject::Draft)?;
    let need = model.memory()?.0.total();
    let devices = &model.devices;
    let on = match devices.picked() {
        [] => devices.meant(&draft.recipe.train.devices).ok()?,
        picked => picked.to_vec(),
    };
    let free = |name: &String| {
        let device = devices.rows().iter().find(|d| d.name == *name)?;
        (device.memory_total > 0 && device.problem.is_none()).then_some(device.memory_free)
    };
    // The one with the least room decides.
    let (free, name) = on.iter().filter_map(|name| Some((free(name)?, name))).min()?;
    let (need, has) = (bytes(need), need <= free);
    Some(match has {
        true => (format!("It needs about {need}, counted from its layers: that fits {name}."), Scope::Good),
        false => (
            format!("It needs about {need}, counted from its layers: more than the {} free on {name}.", bytes(free)),
            Scope::Warning,
        ),
    })
}

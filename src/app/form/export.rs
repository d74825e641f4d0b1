//! The form of an export: what `frostline export` takes as options, tried on the names of the checkpoint's tensors while one types.

use std::path::{Path, PathBuf};

use super::{Field, Form, Purpose, Shape};
use crate::app::effect::ExportJob;
use crate::app::format::bytes;
use crate::app::overlay::Input;
use crate::core::tensor::DType;
use crate::core::weights::{ExportFormat, Selection, WeightsError, can_cast};

/// A tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub elements: u64,
    /// Their type.
    pub dtype: DType,
}

/// What is exported.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportForm {
    /// The run.
    pub run: String,
    /// The checkpoint's folder name.
    pub checkpoint: String,
    /// Its tensors, or why they cannot be read; `None` while they are.
    pub tensors: Option<Result<Vec<Tensor>, String>>,
}

const FORMATS: &[&str] = &["safetensors", "pth", "torchscript"];
const DTYPES: &[&str] = &["as they are", "fp32", "fp16", "bf16"];

impl Form {
    /// The form of a checkpoint's export.
    pub fn export(run: String, checkpoint: String, file: &str) -> Self {
        let plain = |label, text: &str, hint| Field::new(label, "", Shape::Plain, text, hint);
        let mut form = Self {
            title: format!("Export the weights of {checkpoint}"),
            fields: vec![
                plain("file", file, "the file to write, relative to the current folder"),
                plain("format", FORMATS[0], "").choice(FORMATS, true),
                plain("type", DTYPES[0], "").choice(DTYPES, true),
                plain("only", "", "everything; or globs: layer4, **.bias"),
                plain("leave out", "", "nothing; or globs: fc, **.num_batches_tracked"),
                plain("strip prefix", "", "none; as backbone."),
                plain("rename", "", "none; as head=fc, encoder.*=*"),
            ],
            cursor: 0,
            problems: Vec::new(),
            notes: Vec::new(),
            purpose: Purpose::Export(Box::new(ExportForm { run, checkpoint, tensors: None })),
            sent: false,
        };
        form.check();
        form
    }

    /// What the form asks for.
    pub fn export_job(&self) -> Option<ExportJob> {
        let Purpose::Export(of) = &self.purpose else { return None };
        let selection = selection(self).ok()?;
        let path = PathBuf::from(self.field("file"));
        let (run, checkpoint) = (of.run.clone(), of.checkpoint.clone());
        Some(ExportJob { run, checkpoint, path, format: format(self), selection, force: false })
    }
}

fn format(form: &Form) -> ExportFormat {
    let chosen = form.field("format");
    ExportFormat::ALL.into_iter().find(|f| f.as_str() == chosen).unwrap_or_default()
}

/// Globs are set apart by commas or blanks; names have neither.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).map(str::trim).filter(|t| !t.is_empty())
}

/// The options, or the field that is wrong and why.
fn selection(form: &Form) -> Result<Selection, (&'static str, String)> {
    let list = |label| items(form.field(label)).map(str::to_owned).collect::<Vec<String>>();
    let pair = |text: &str| match text.split_once('=') {
        Some((from, to)) if !from.is_empty() || !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err(("rename", format!("`{text}`: write FROM=TO, as backbone=encoder"))),
    };
    Ok(Selection {
        only: list("only"),
        drop: list("leave out"),
        strip_prefix: Some(form.field("strip prefix").to_owned()).filter(|p| !p.is_empty()),
        rename: items(form.field("rename")).map(pair).collect::<Result<_, _>>()?,
        dtype: match form.field("type") {
            "fp32" => Some(DType::Float32),
            "fp16" => Some(DType::Float16),
            "bf16" => Some(DType::Bfloat16),
            _ => None,
        },
    })
}

/// The field of an option of the command line.
fn label(option: &str) -> &'static str {
    match option {
        "--only" => "only",
        "--drop" => "leave out",
        "--strip-prefix" => "strip prefix",
        "--dtype" => "type",
        _ => "rename",
    }
}

/// The file's end and the format say the same: whichever was changed leads.
pub(super) fn follow(form: &mut Form) {
    let path = PathBuf::from(form.field("file"));
    let named = ExportFormat::of_path(&path);
    match form.fields.get(form.cursor).map(|f| f.label) {
        Some("file") => {
            if let (Some(named), Some(field)) = (named, form.fields.iter_mut().find(|f| f.label == "format")) {
                field.input = Input::with(named.as_str());
            }
        }
        Some("format") if named.is_some_and(|n| n != format(form)) => {
            let text = path.with_extension(format(form).extension()).display().to_string();
            if let Some(field) = form.fields.iter_mut().find(|f| f.label == "file") {
                field.input = Input::with(text);
            }
        }
        _ => {}
    }
}

/// What is said of a name that ends like none of the formats, as `.onnx`: the other field decides then.
fn unlike_its_name(form: &Form) -> Option<String> {
    let path = Path::new(form.field("file"));
    let end = path.extension().filter(|_| ExportFormat::of_path(path).is_none())?;
    Some(format!("`.{}` is none of the formats; a .{} file is written.", end.display(), format(form).extension()))
}

pub(super) fn check(form: &mut Form) {
    form.fields.iter_mut().for_each(|f| f.problem = None);
    (form.problems, form.notes) = (Vec::new(), Vec::new());
    let file = form.field("file");
    let wrong = match file {
        "" => Some("name the file to write"),
        file if file.ends_with('/') => Some("this is a folder; name the file to write"),
        file if Path::new(file).file_name().is_none() => Some("this is no file's name"),
        _ => None,
    };
    form.set_problem("file", wrong.map(str::to_owned));
    let chosen = match selection(form) {
        Ok(chosen) => chosen,
        Err((label, problem)) => return form.set_problem(label, Some(problem)),
    };
    form.notes.extend(unlike_its_name(form));
    if format(form) == ExportFormat::Torchscript {
        let whole =
            "a TorchScript file holds the whole model as it was trained; leave this out, or choose another format";
        match chosen.first_option() {
            Some(option) => form.set_problem(label(option), Some(whole.to_owned())),
            None => form.notes.push("The model itself, for torch.jit.load.".to_owned()),
        }
        return;
    }
    let Purpose::Export(of) = &form.purpose else { return };
    let tensors = match &of.tensors {
        None => return form.notes.push("reading the names of its tensors…".to_owned()),
        Some(Err(problem)) => {
            form.problems = vec![problem.clone()];
            return;
        }
        Some(Ok(tensors)) => tensors,
    };
    let names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    let (plan, all) = (chosen.plan(&names), tensors.len());
    match plan {
        Ok(plan) => {
            let size = |t: &Tensor| {
                let to = chosen.dtype.filter(|to| can_cast(t.dtype, *to)).unwrap_or(t.dtype);
                t.elements * to.size() as u64
            };
            let size: u64 = plan.iter().filter_map(|(i, _)| tensors.get(*i)).map(size).sum();
            let some: Vec<&str> = plan.iter().take(3).map(|(_, name)| name.as_str()).collect();
            let more = if plan.len() > 3 { ", …" } else { "" };
            form.notes.extend([
                format!("{} of {all} tensors, {}", plan.len(), bytes(size)),
                format!("{}{more}", some.join(", ")),
            ]);
        }
        Err(WeightsError::NoMatch { option, pattern }) => {
            form.set_problem(label(option), Some(format!("`{pattern}` matches none of the {all} tensors")));
        }
        Err(WeightsError::NothingLeft) => form.set_problem("leave out", Some("nothing would be left".to_owned())),
        Err(error @ WeightsError::Collision { .. }) => {
            let renames = !form.field("rename").is_empty();
            form.set_problem(if renames { "rename" } else { "strip prefix" }, Some(error.to_string()));
        }
        Err(error) => form.problems = vec![error.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let mut form = Form::export("r".to_owned(), "step-00000120".to_owned(), "a.safetensors");
        let tensor = |name: &str, dtype| Tensor { name: name.to_owned(), elements: 100, dtype };
        let names = ["net.conv.weight", "net.bn.weight", "fc.weight", "fc.bias"].map(|n| tensor(n, DType::Float32));
        let counter = tensor("net.bn.num_batches_tracked", DType::Int64);
        let Purpose::Export(of) = &mut form.purpose else { panic!() };
        of.tensors = Some(Ok(names.into_iter().chain([counter]).collect()));
        form.check();
        form
    }

    fn set(form: &mut Form, label: &str, text: &str) {
        form.cursor = form.fields.iter().position(|f| f.label == label).unwrap();
        form.field_mut().unwrap().input = Input::with(text);
        form.changed();
    }

    fn problem(form: &Form) -> (&'static str, &str) {
        let (at, problem) = form.first_problem().unwrap();
        (form.fields[at].label, problem)
    }

    #[test]
    fn what_is_taken_is_said_while_one_types() {
        let mut form = form();
        assert_eq!(form.notes[0], "5 of 5 tensors, 2.40 kB");
        set(&mut form, "type", "bf16");
        assert_eq!(form.notes[0], "5 of 5 tensors, 1.60 kB");
        set(&mut form, "leave out", "**.num_batches_tracked fc");
        set(&mut form, "strip prefix", "net");
        set(&mut form, "rename", "conv=first");
        assert_eq!(form.notes, ["2 of 5 tensors, 400 B", "first.weight, bn.weight"]);
        let job = form.export_job().unwrap();
        assert_eq!(job.selection.rename, [("conv".to_owned(), "first".to_owned())]);
        assert_eq!((job.format, job.selection.dtype), (ExportFormat::Safetensors, Some(DType::Bfloat16)));
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let mut form = form();
        for (label, text, said) in [
            ("file", "", "name the file"),
            ("file", "out/", "is a folder"),
            ("only", "layr1", "`layr1` matches none of the 5 tensors"),
            ("leave out", "**", "nothing would be left"),
            ("strip prefix", "module.", "matches none"),
            ("rename", "fc", "write FROM=TO"),
            ("rename", "fc.weight=x, fc.bias=x", "fc.bias"),
        ] {
            let before = form.field(label).to_owned();
            set(&mut form, label, text);
            let (at, problem) = problem(&form);
            assert!(at == label && problem.contains(said), "{label} {text}: {at}: {problem}");
            set(&mut form, label, &before);
            assert!(form.is_good(), "{form:?}");
        }
    }

    #[test]
    fn format_and_file_say_the_same() {
        let mut form = form();
        set(&mut form, "file", "b.pth");
        assert_eq!(form.export_job().unwrap().format, ExportFormat::Pth);
        form.cursor = 1;
        form.turn(1);
        assert_eq!((form.field("file"), form.field("format")), ("b.pt", "torchscript"));
        set(&mut form, "only", "fc");
        assert!(problem(&form).1.contains("the whole model"));
        set(&mut form, "file", "weights.v2");
        assert_eq!(form.field("format"), "torchscript", "a name that says nothing leaves the format");
        set(&mut form, "only", "");
        set(&mut form, "file", "a.onnx");
        assert_eq!(form.notes[0], "`.onnx` is none of the formats; a .pt file is written.");
        set(&mut form, "file", "a");
        assert!(!form.notes[0].contains("none of the formats"), "{:?}", form.notes);
    }
}

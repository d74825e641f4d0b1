//! What weights can be exported as.

use std::path::Path;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// A state dict, with metadata.
    #[default]
    Safetensors,
    /// A state dict as torch.save writes it.
    Pth,
    /// The model itself, for torch.jit.load.
    Torchscript,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Safetensors, Self::Pth, Self::Torchscript];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Pth => "pth",
            Self::Torchscript => "torchscript",
        }
    }

    /// How a file of it usually ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Pth => "pth",
            Self::Torchscript => "pt",
        }
    }

    /// As the end of a file's name says.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "safetensors" => Some(Self::Safetensors),
            "pth" | "bin" | "ckpt" => Some(Self::Pth),
            "pt" | "ts" | "torchscript" => Some(Self::Torchscript),
            _ => None,
        }
    }
}

//! Where the user is: a screen, or what lies on top of it. Keys mean something at a place.

/// The screens, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Screen {
    /// The run home.
    Runs,
    /// The layer tree.
    Model,
    /// What can compute.
    Devices,
    /// Charts and progress.
    Train,
    /// The history of one run.
    Checkpoints,
    /// Runs side by side.
    Compare,
}

impl Screen {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Runs, Self::Model, Self::Devices, Self::Train, Self::Checkpoints, Self::Compare];

    /// Its name on the tab bar.
    pub fn title(self) -> &'static str {
        match self {
            Self::Runs => "Runs",
            Self::Model => "Model",
            Self::Devices => "Devices",
            Self::Train => "Train",
            Self::Checkpoints => "Checkpoints",
            Self::Compare => "Compare",
        }
    }

    /// The screen `by` places further, round the end.
    pub fn cycle(self, by: isize) -> Self {
        let n = Self::ALL.len() as isize;
        let at = Self::ALL.iter().position(|s| *s == self).unwrap_or(0) as isize;
        Self::ALL[(at + by).rem_euclid(n) as usize]
    }

    /// The place whose keys are in force on it.
    pub fn place(self) -> Place {
        match self {
            Self::Runs => Place::Runs,
            Self::Model => Place::Model,
            Self::Devices => Place::Devices,
            Self::Train => Place::Train,
            Self::Checkpoints => Place::Checkpoints,
            Self::Compare => Place::Compare,
        }
    }
}

/// Where keys are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// On every screen.
    Global,
    /// The run list.
    Runs,
    /// The layer tree.
    Model,
    /// The device list.
    Devices,
    /// The training screen.
    Train,
    /// The checkpoint list.
    Checkpoints,
    /// Runs side by side.
    Compare,
    /// Two checkpoints compared, on top of the screen. The keys of lists on top are in force too.
    Diff,
    /// A list or text on top of the screen.
    Popup,
    /// A text field: plain characters are typed.
    Prompt,
    /// Several fields: plain characters are typed into the one with the cursor.
    Form,
    /// A question.
    Confirm,
}

impl Place {
    /// Whether it lies on top of a screen; the global keys do not reach through.
    pub fn is_overlay(self) -> bool {
        matches!(self, Self::Diff | Self::Popup | Self::Prompt | Self::Form | Self::Confirm)
    }

    /// Whether a key of one place can be meant at the other.
    pub fn overlaps(self, other: Self) -> bool {
        let list = |a: Self, b: Self| a == Self::Diff && b == Self::Popup;
        self == other
            || list(self, other)
            || list(other, self)
            || (self == Self::Global && !other.is_overlay())
            || (other == Self::Global && !self.is_overlay())
    }

    /// Its heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Runs => "Runs",
            Self::Model => "Model",
            Self::Devices => "Devices",
            Self::Train => "Train",
            Self::Checkpoints => "Checkpoints",
            Self::Compare => "Compare",
            Self::Diff => "Checkpoints compared",
            Self::Popup => "Lists and texts on top",
            Self::Prompt => "Text fields",
            Self::Form => "Forms",
            Self::Confirm => "Questions",
        }
    }
}

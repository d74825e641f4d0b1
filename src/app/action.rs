//! The one table of what a user can do: name, words, place and default keys. Help, footer, palette and the keys file
//! are made of it, so that they cannot disagree.

use super::place::Place;

/// What a key can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is described in `ACTIONS`
pub enum Action {
    Quit,
    Help,
    Palette,
    Messages,
    Themes,
    Copy,
    Back,
    ShowRuns,
    ShowModel,
    ShowDevices,
    ShowTrain,
    ShowCheckpoints,
    ShowCompare,
    NextScreen,
    PreviousScreen,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Suspend,
    Redraw,
    OpenRun,
    NewRun,
    NewRecipe,
    ResumeRun,
    RefreshRuns,
    FilterRuns,
    SortRuns,
    ReverseRuns,
    MarkRun,
    CompareRuns,
    RenameRun,
    TagRuns,
    NoteRun,
    DeleteRuns,
    Lineage,
    ToggleFreeze,
    NoGrad,
    Apply,
    Discard,
    Undo,
    Redo,
    StartRun,
    Fold,
    FoldAll,
    Unfold,
    ToggleFold,
    FreezeRule,
    FilterLayers,
    NextMatch,
    PreviousMatch,
    NextStaged,
    Explain,
    WriteRules,
    EditRecipe,
    PickDevice,
    MoveRun,
    RefreshDevices,
    Pause,
    Stop,
    Save,
    Evaluate,
    SetLr,
    ChartLeft,
    ChartRight,
    ZoomIn,
    ZoomOut,
    PanLeft,
    PanRight,
    ResetCharts,
    FullScreen,
    ChartCursor,
    ChartAlone,
    SmoothMore,
    SmoothLess,
    LogScale,
    Outliers,
    XAxis,
    ChooseCharts,
    OverlayRuns,
    Resume,
    ForkWith,
    Export,
    Verify,
    VerifyAll,
    FilterCheckpoints,
    SortCheckpoints,
    ReverseCheckpoints,
    Details,
    RefreshCheckpoints,
    Pin,
    DeleteCheckpoint,
    MarkCheckpoint,
    DiffCheckpoints,
    CompareAll,
    NextMetric,
    PreviousMetric,
    MeasureDrift,
    ShiftLeft,
    ShiftRight,
    RefreshCompare,
    ShowLayers,
    DiffTensors,
    DiffMoved,
    DiffSort,
    DiffSwap,
    PopupClose,
    PopupOpen,
    PopupUp,
    PopupDown,
    PopupPageUp,
    PopupPageDown,
    PopupTop,
    PopupBottom,
    PromptAccept,
    PromptCancel,
    FormAccept,
    FormCancel,
    FormNext,
    FormPrevious,
    FormMore,
    FormLess,
    PromptComplete,
    ConfirmYes,
    ConfirmOther,
    ConfirmNo,
}

/// One line of the table.
#[derive(Debug)]
pub struct ActionInfo {
    /// The action.
    pub action: Action,
    /// Its name in the keys file and the palette.
    pub name: &'static str,
    /// What it does, in a few words.
    pub text: &'static str,
    /// A word for the footer; empty where the footer need not say it.
    pub hint: &'static str,
    /// Where its keys are in force.
    pub place: Place,
    /// Default keys.
    pub keys: &'static [&'static str],
}

impl Action {
    /// Its line of the table.
    pub fn info(self) -> &'static ActionInfo {
        // Every action has a line; `every_action_has_exactly_one_line` checks it, the first line is never the answer.
        ACTIONS.iter().find(|i| i.action == self).unwrap_or(&ACTIONS[0])
    }
}

macro_rules! table {
    ($($action:ident $place:ident $name:literal $hint:literal [$($key:literal)*] $text:literal;)*) => {
        /// The table, in the order of help and footer.
        pub static ACTIONS: &[ActionInfo] = &[$(ActionInfo {
            action: Action::$action,
            name: $name,
            text: $text,
            hint: $hint,
            place: Place::$place,
            keys: &[$($key),*],
        }),*];
    };
}

table! {
    Quit            Global "quit"             "quit"    ["q" "ctrl-c"]       "leave; asks when a run is live here";
    Help            Global "help"             "help"    ["?" "f1"]           "show the keys";
    Palette         Global "palette"          ""        [":"]                "find an action by its name";
    Messages        Global "messages"         ""        ["m"]                "read again what was said";
    Themes          Global "themes"           ""        ["ctrl-t"]           "choose a theme";
    Copy            Global "copy"             ""        ["y"]                "copy what is under the cursor to the clipboard (OSC 52)";
    Back            Global "back"             ""        ["esc"]              "close what is on top; discard staged edits";
    ShowRuns        Global "show-runs"        ""        ["1"]                "go to Runs";
    ShowModel       Global "show-model"       ""        ["2"]                "go to Model";
    ShowDevices     Global "show-devices"     ""        ["3"]                "go to Devices";
    ShowTrain       Global "show-train"       ""        ["4"]                "go to Train";
    ShowCheckpoints Global "show-checkpoints" ""        ["5"]                "go to Checkpoints";
    ShowCompare     Global "show-compare"     ""        ["6"]                "go to Compare";
    NextScreen      Global "next-screen"      ""        ["tab"]              "go to the next screen";
    PreviousScreen  Global "previous-screen"  ""        ["backtab"]          "go to the previous screen";
    Up              Global "up"               ""        ["k" "up"]           "one line up";
    Down            Global "down"             ""        ["j" "down"]         "one line down";
    PageUp          Global "page-up"          ""        ["pgup" "ctrl-u"]    "one page up";
    PageDown        Global "page-down"        ""        ["pgdn" "ctrl-d"]    "one page down";
    Top             Global "top"              ""        ["g" "home"]         "to the first line";
    Bottom          Global "bottom"           ""        ["G" "end"]          "to the last line";
    Suspend         Global "suspend"          ""        ["ctrl-z"]           "stop this process; `fg` brings it back";
    Redraw          Global "redraw"           ""        ["ctrl-l"]           "draw the screen afresh";

    OpenRun         Runs "open-run"           "open"    ["enter" "l" "right"] "open the run under the cursor";
    NewRun          Runs "new-run"            "new run" ["n"]                "start from a recipe of the current folder";
    NewRecipe       Runs "new-recipe"         ""        ["T"]                "write a recipe from a template, and start from it";
    ResumeRun       Runs "resume-run"         "resume"  ["r"]                "go on where the run stopped";
    MarkRun         Runs "mark-run"           "mark"    ["space"]            "mark the run, to compare, tag or delete several";
    CompareRuns     Runs "compare-runs"       "compare" ["c"]                "compare the marked runs, or this one with the newest";
    RefreshRuns     Runs "refresh"            ""        ["f5"]               "read the run home again";
    FilterRuns      Runs "filter-runs"        "filter"  ["/"]                "list the runs that pass a filter";
    SortRuns        Runs "sort-runs"          "sort"    ["o"]                "order by the next column";
    ReverseRuns     Runs "reverse-runs"       ""        ["O"]                "turn the order round";
    RenameRun       Runs "rename-run"         ""        ["R" "f2"]           "give the run another name";
    TagRuns         Runs "tag-runs"           "tag"     ["t"]                "add and take off tags";
    NoteRun         Runs "note-run"           ""        ["N"]                "write a note on the run";
    DeleteRuns      Runs "delete-runs"        ""        ["D" "delete"]       "delete the marked runs, or this one; asks";
    Lineage         Runs "lineage"            ""        ["L"]                "show where the run comes from, and its forks";

    ToggleFreeze    Model "toggle-freeze"     "freeze/thaw" ["space"]        "freeze or thaw the parameter or module";
    NoGrad          Model "no-grad"           "no grad" ["o"]                "put the module under no_grad, or lift it";
    FreezeRule      Model "freeze-rule"       "rule"    ["f"]                "stage rules or a ready-made plan, tried while they are typed";
    Apply           Model "apply"             "apply"   ["a"]                "put the staged edits into force between two steps";
    Discard         Model "discard"           "discard" ["x"]                "forget the staged edits";
    Undo            Model "undo"              "undo"    ["u"]                "take the last edit back";
    Redo            Model "redo"              "redo"    ["ctrl-r"]           "do the edit again that was taken back";
    StartRun        Model "start"             "start"   ["t"]                "start training this recipe";
    Fold            Model "fold"              ""        ["h" "left"]         "fold the module, or go to its parent";
    Unfold          Model "unfold"            ""        ["l" "right"]        "unfold the module";
    ToggleFold      Model "toggle-fold"       "fold"    ["enter"]            "fold or unfold the module";
    FoldAll         Model "fold-all"          ""        ["z"]                "fold everything, or unfold everything";
    FilterLayers    Model "filter-layers"     "filter"  ["/"]                "show the layers that match";
    NextMatch       Model "next-match"        ""        ["n"]                "go to the next match of the filter";
    PreviousMatch   Model "previous-match"    ""        ["N"]                "go to the match before";
    NextStaged      Model "next-staged"       ""        ["]"]                "go to the next staged edit";
    Explain         Model "explain"           "explain" ["i"]                "explain what is under the cursor, or stop it";
    WriteRules      Model "write-rules"       "write"   ["w"]                "write the plan into the recipe, comments kept";
    EditRecipe      Model "edit-recipe"       "edit"    ["e"]                "change values of the draft's recipe: epochs, rate, data…";

    PickDevice      Devices "pick-device"     "pick"    ["space"]            "pick the device for the next run, or put it back";
    MoveRun         Devices "move-run"      "move run here" ["enter"]        "let the live run go on on this device, after a checkpoint; asks";
    RefreshDevices  Devices "refresh-devices" ""        ["f5"]               "look for devices again";

    Pause           Train "pause"             "pause/go on" ["p"]            "pause the run, or go on";
    Stop            Train "stop"              "stop"    ["s"]                "stop the run with a checkpoint; asks";
    Save            Train "save"              "save"    ["w"]                "write a checkpoint now";
    Evaluate        Train "evaluate"          "evaluate" ["e"]               "evaluate on the validation data now";

    SetLr           Train "set-lr"            "lr"       ["r"]               "change the learning rate";
    ZoomIn          Train "zoom-in"           "zoom"     ["+" "="]           "show half as many steps, around the cursor or at the end";
    ZoomOut         Train "zoom-out"          ""         ["-" "_"]           "show twice as many steps";
    PanLeft         Train "pan-left"          ""         ["["]               "show earlier steps";
    PanRight        Train "pan-right"         ""         ["]"]               "show later steps; at the end the charts follow the run";
    ResetCharts     Train "reset-charts"      ""         ["0"]               "show all steps again, without a cursor";
    FullScreen      Train "full-screen"       "full"     ["f" "enter"]       "give the chart the whole screen, or take it back";
    ChartCursor     Train "chart-cursor"      "cursor"   ["c"]               "read the values at a step";
    ChartAlone      Train "chart-alone"       ""         ["C"]               "zoom, pan and cursor for all charts in step, or for one alone";
    ChartLeft       Train "chart-left"        ""         ["h" "left"]        "go to the chart on the left, or move the cursor";
    ChartRight      Train "chart-right"       ""         ["l" "right"]       "go to the chart on the right, or move the cursor";
    SmoothMore      Train "smooth-more"       "smooth"   [">"]               "smooth more";
    SmoothLess      Train "smooth-less"       ""         ["<"]               "smooth less";
    LogScale        Train "log-scale"         "log"      ["L"]               "log scale for this chart, or linear";
    Outliers        Train "outliers"          ""         ["o"]               "outliers of this chart in full, or left out of its range";
    XAxis           Train "x-axis"            ""         ["x"]               "steps, epochs or time below the curves";
    ChooseCharts    Train "choose-charts"     "charts"   ["a"]               "add charts of other metrics, or remove some";
    OverlayRuns     Train "overlay-runs"      "overlay"  ["O"]               "draw other runs over this one";

    Resume          Checkpoints "resume"      "resume"  ["r" "enter"]        "go on from this checkpoint";
    ForkWith        Checkpoints "fork-with"   "fork"    ["f"]                "start a new run from this checkpoint, with changes";
    Export          Checkpoints "export"      "export"  ["x"]                "write the weights to a file: .safetensors, .pth, TorchScript";
    MarkCheckpoint  Checkpoints "mark-checkpoint" "mark" ["space"]           "mark the checkpoint, to compare another one with it";
    DiffCheckpoints Checkpoints "diff-checkpoints" "diff" ["d"]              "show what moved since the marked one, or the one before";
    Pin             Checkpoints "pin"         "pin"     ["p"]                "keep the checkpoint for ever, or no longer";
    DeleteCheckpoint Checkpoints "delete-checkpoint" "" ["D" "delete"]       "delete the checkpoint; asks";
    ShowLayers      Checkpoints "show-layers" "layers"  ["t"]                "show the layers of this checkpoint";
    Verify          Checkpoints "verify"      "verify"  ["v"]                "check every byte of this checkpoint";
    VerifyAll       Checkpoints "verify-all"  ""        ["V"]                "check every byte of all that are listed";
    Details         Checkpoints "details"     "details" ["i"]                "tell more of this checkpoint, or stop it";
    FilterCheckpoints Checkpoints "filter-checkpoints" "filter" ["/"]        "list the checkpoints that pass a filter";
    SortCheckpoints Checkpoints "sort-checkpoints" "sort" ["o"]              "order by the next column";
    ReverseCheckpoints Checkpoints "reverse-checkpoints" "" ["O"]            "turn the order round";
    RefreshCheckpoints Checkpoints "refresh-checkpoints" "" ["f5"]           "read the history again";

    CompareAll      Compare "compare-all"     "all/differing" ["a"]          "show what is the same too, or what differs alone";
    NextMetric      Compare "next-metric"     "metric"  ["]" "n"]            "chart the next metric";
    PreviousMetric  Compare "previous-metric" ""        ["[" "N"]            "chart the metric before";
    MeasureDrift    Compare "measure-drift"   "drift"   ["d"]                "measure how far forks went from where they began";
    ShiftLeft       Compare "shift-left"      ""        ["h" "left"]         "show the runs further left";
    ShiftRight      Compare "shift-right"     ""        ["l" "right"]        "show the runs further right";
    RefreshCompare  Compare "refresh-compare" ""        ["f5"]               "read the runs again";

    DiffTensors     Diff "diff-tensors"       "layers/tensors" ["t" "tab"]   "by tensor, or by layer";
    DiffMoved       Diff "diff-moved"         "all/moved" ["a"]              "what moved alone, or everything";
    DiffSort        Diff "diff-sort"          "sort"    ["o"]                "the largest drift first, or the model's order";
    DiffSwap        Diff "diff-swap"          "swap"    ["s"]                "the other way round";

    PopupOpen       Popup "popup-open"        "choose"  ["enter" "space"]    "choose the line";
    PopupClose      Popup "popup-close"       "close"   ["esc" "q" "?" "ctrl-c"] "close it";
    PopupUp         Popup "popup-up"          ""        ["k" "up" "ctrl-p"]  "one line up";
    PopupDown       Popup "popup-down"        ""        ["j" "down" "ctrl-n"] "one line down";
    PopupPageUp     Popup "popup-page-up"     ""        ["pgup" "ctrl-u"]    "one page up";
    PopupPageDown   Popup "popup-page-down"   ""        ["pgdn" "ctrl-d"]    "one page down";
    PopupTop        Popup "popup-top"         ""        ["g" "home"]         "to the first line";
    PopupBottom     Popup "popup-bottom"      ""        ["G" "end"]          "to the last line";

    PromptAccept    Prompt "prompt-accept"    "accept"  ["enter"]            "accept the text";
    PromptCancel    Prompt "prompt-cancel"    "cancel"  ["esc" "ctrl-c"]     "leave it";
    PromptComplete  Prompt "prompt-complete"  "complete" ["tab"]             "complete a name; the next ready-made plan in an empty field";

    FormAccept      Form "form-accept"        "accept"  ["enter"]            "accept the form";
    FormNext        Form "form-next"          "next"    ["tab" "down"]       "go to the next field";
    FormPrevious    Form "form-previous"      ""        ["backtab" "up"]     "go to the field before";
    FormMore        Form "form-more"          "choose"  ["right"]            "the next choice, or one character on";
    FormLess        Form "form-less"          ""        ["left"]             "the choice before, or one character back";
    FormCancel      Form "form-cancel"        "cancel"  ["esc" "ctrl-c"]     "leave the form";

    ConfirmYes      Confirm "confirm-yes"     "yes"     ["y" "enter"]        "yes, do it";
    ConfirmOther    Confirm "confirm-other"   "leave it running" ["l"]       "leave it running";
    ConfirmNo       Confirm "confirm-no"      "no"      ["n" "esc" "q" "ctrl-c"] "no, leave everything as it is";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_exactly_one_line() {
        for info in ACTIONS {
            assert_eq!(ACTIONS.iter().filter(|i| i.action == info.action).count(), 1, "{}", info.name);
            assert_eq!(ACTIONS.iter().filter(|i| i.name == info.name).count(), 1, "{}", info.name);
            assert_eq!(info.action.info().name, info.name);
        }
        // The last variant's number says how many there are.
        assert_eq!(ACTIONS.len(), Action::ConfirmNo as usize + 1);
    }

    #[test]
    fn the_documentation_has_the_table() {
        let page = include_str!("../../docs/screen.md");
        let mut table = String::from("| where | keys | action | what it does |\n| --- | --- | --- | --- |\n");
        for info in ACTIONS {
            let keys: Vec<String> = info.keys.iter().map(|k| format!("`{k}`")).collect();
            let (place, keys) = (info.place.title(), keys.join(" "));
            table.push_str(&format!("| {place} | {keys} | `{}` | {} |\n", info.name, info.text));
        }
        assert!(page.ends_with(&table), "docs/screen.md ends with this table:\n{table}");
    }

    #[test]
    fn names_are_kebab_case_and_have_words() {
        for info in ACTIONS {
            assert!(info.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", info.name);
            assert!(!info.text.is_empty());
        }
    }
}

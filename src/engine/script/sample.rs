//! What a sample of a script's data may look like, where nobody says.

use crate::engine::nn::Node;

/// Shapes to try, the likeliest first: the first layer with a weight tells the channels or the features.
pub fn guess(root: &Node) -> Vec<Vec<usize>> {
    let mut first = None;
    root.walk(&mut |node, _| {
        if first.is_none()
            && let Some(weight) = node.slot("weight")
        {
            first = Some((node.op.kind().to_owned(), node.op.detail(), weight.size()));
        }
    });
    let images = |channels: usize| [224, 32, 28, 64, 8].map(|side| vec![channels, side, side]).to_vec();
    let Some((kind, detail, weight)) = first else { return images(3) };
    let inputs = super::inputs(&detail);
    match (kind.as_str(), inputs, weight.len()) {
        ("Linear", Some(inputs), 2) => {
            // An MLP on images flattens them first.
            let side = (1..=inputs).find(|s| s * s >= inputs).unwrap_or(inputs);
            let image = (side * side == inputs).then(|| vec![1, side, side]);
            std::iter::once(vec![inputs]).chain(image).chain((inputs % 3 == 0).then(|| vec![3, 32, 32])).collect()
        }
        ("Conv1d", Some(channels), _) => vec![vec![channels, 128]],
        (_, Some(channels), 4) => images(channels),
        _ => images(3),
    }
}

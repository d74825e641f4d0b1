//! Pieces of TorchScript source, for [`Op::script`](super::Op::script).

use super::Node;

/// A call of a child: `self.conv1.forward(x)`, or through `getattr` where the name is no identifier (`0`).
pub fn call(child: &str, x: &str) -> String {
    let plain = child.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && child.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!("self.{child}.forward({x})") } else { format!("getattr(self, \"{child}\").forward({x})") }
}

/// The children one after another, from `x`.
pub fn in_turn(node: &Node) -> String {
    let mut body = String::new();
    for child in &node.children {
        body += &format!("x = {}\n", call(&child.name, "x"));
    }
    body + "return x"
}

/// `self.<name>`, or `None` where the layer was built without it.
pub fn own(node: &Node, name: &str) -> String {
    if node.slot(name).is_some() { format!("self.{name}") } else { "None".to_owned() }
}

/// `True` or `False`.
pub fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

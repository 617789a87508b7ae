//! The text of a configuration as a tree that remembers its lines.
//!
//! Scalars keep the text that stands in the file: `0x1a44…` stays an address and `2.5` an exact amount, where a YAML
//! reader that guesses types would make an integer and a float of them. Repeated keys stay too, to be reported with all
//! other problems.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// Deeper than any configuration needs, and shallow enough to walk by recursion.
const MAX_DEPTH: usize = 32;
/// How many nodes aliases may add, so that a few nested anchors cannot fill the memory.
const ALIAS_BUDGET: usize = 10_000;

/// A place in the file with what stands there.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// The text of a scalar, quoted or not.
    Scalar(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in the file's order, repeated keys included.
    Mapping(Vec<Entry>),
}

/// One key with its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Why a text is not such a tree.
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) message: String,
}

impl SyntaxError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl From<ScanError> for SyntaxError {
    fn from(error: ScanError) -> Self {
        Self::new(error.marker().line(), format!("not YAML: {}", error.info()))
    }
}

/// Reads exactly one document; an empty text is [`Value::Null`].
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event?;
        tree.event(event, span.start.line())?;
    }
    Ok(tree.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    from_aliases: usize,
}

/// A list or mapping whose end has not come.
struct Open {
    line: usize,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Option<(String, usize)> },
}

impl Tree {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(SyntaxError::new(line, "a second document starts here: keep one"))
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = match text.as_ref() {
                    "" | "~" | "null" if plain => Value::Null,
                    text => Value::Scalar(text.to_owned()),
                };
                self.complete(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Inside::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, Inside::Mapping { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, line),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, inside: Inside) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::new(line, "nested too deeply"));
        }
        self.open.push(Open { line, anchor, inside });
        Ok(())
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        let Some(Open { line, anchor, inside }) = self.open.pop() else {
            return Ok(());
        };
        let value = match inside {
            Inside::Sequence(items) => Value::Sequence(items),
            Inside::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.complete(Node { line, value }, anchor)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), SyntaxError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(SyntaxError::new(line, "this alias refers to something that contains it"));
        };
        self.from_aliases = self.from_aliases.saturating_add(size(&node));
        if self.from_aliases > ALIAS_BUDGET {
            return Err(SyntaxError::new(line, "aliases make the file too large"));
        }
        self.complete(Node { line, value: node.value }, 0)
    }

    /// Puts a finished node where it belongs; anchors count from 1.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::Sequence(items)) => items.push(node),
            Some(Inside::Mapping { entries, key }) => match (key.take(), node) {
                (Some((key, line)), node) => entries.push(Entry { key, line, node }),
                (None, Node { line, value: Value::Scalar(text) }) => *key = Some((text, line)),
                (None, Node { line, .. }) => return Err(SyntaxError::new(line, "a key must be a word")),
            },
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::Null | Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Value::Mapping(entries) => entries.iter().map(|entry| size(&entry.node)).fold(0, usize::saturating_add),
    };
    below.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text).err().map(|error| format!("{}: {}", error.line, error.message)).unwrap_or_default()
    }

    #[test]
    fn scalars_keep_their_text() {
        let Value::Mapping(entries) = parse("a: 0x1A44\nb: 2.50\nc: \"~\"\nd: ~\n").ok().unwrap().value else {
            panic!("a mapping was given");
        };
        let texts: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.node.value {
                Value::Scalar(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [Some("0x1A44"), Some("2.50"), Some("~"), None]);
        assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn broken_files_say_where() {
        assert!(message("a: [1, 2\nb: 3").starts_with("2: not YAML"), "{}", message("a: [1, 2\nb: 3"));
        assert_eq!(message("a: 1\n---\nb: 2"), "2: a second document starts here: keep one");
        assert_eq!(message("? [1]\n: 2"), "1: a key must be a word");
        assert_eq!(message(&"[".repeat(40)), "1: nested too deeply");
    }

    #[test]
    fn aliases_share_but_do_not_explode() {
        assert!(parse("a: &x [1]\nb: *x\n").is_ok());
        let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for level in 1..6 {
            let below = level - 1;
            let refs = vec![format!("*a{below}"); 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
        }
        assert!(message(&bomb).ends_with("aliases make the file too large"));
    }
}

//! Reads the tree key by key and collects every problem on the way.
//!
//! A [`Section`] is a mapping. Asking it for a key makes the key known; [`Section::finish`] reports the keys that nobody
//! asked for. A getter that finds a problem records it and returns nothing, so that reading goes on and the operator
//! sees all problems at once.

use std::cell::{Cell, RefCell};

use super::{
    Environment,
    env::Env,
    problem::{ConfigError, Problem},
    scalar,
    yaml::{Entry, Node, Value},
};

/// What one reading of a file shares.
pub(super) struct Reader<'a> {
    pub(super) env: &'a dyn Env,
    /// Production until the file says otherwise, which is the strict side.
    pub(super) environment: Cell<Environment>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

/// Where something stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) line: usize,
}

impl Place {
    /// A key below, whose own line is not known.
    pub(super) fn below(&self, key: &str) -> Self {
        Self { path: format!("{}.{key}", self.path), line: self.line }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a dyn Env) -> Self {
        Self { env, environment: Cell::default(), problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn is_dev(&self) -> bool {
        self.environment.get() == Environment::Dev
    }

    pub(super) fn problem(&self, place: &Place, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            path: place.path.clone(),
            line: place.line,
            message: message.into(),
        });
    }

    /// Something that the operator should know and that is no reason to stop.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        let warning = Problem { path: place.path.clone(), line: place.line, message: message.into() };
        self.warnings.borrow_mut().push(warning);
    }

    /// A problem in production, a warning in dev.
    pub(super) fn problem_unless_dev(&self, place: &Place, message: impl Into<String>) {
        if self.is_dev() { self.warning(place, message) } else { self.problem(place, message) }
    }

    /// What was read, with its warnings, if there is no problem.
    pub(super) fn verdict<T>(self, value: Option<T>) -> Result<(T, Vec<Problem>), ConfigError> {
        let problems = self.problems.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok((value, self.warnings.into_inner())),
            None if problems.is_empty() => {
                let message = "broken invariant in the configuration reader, please report it".to_owned();
                Err(ConfigError::new(vec![Problem { path: String::new(), line: 1, message }]))
            }
            _ => Err(ConfigError::new(problems)),
        }
    }
}

/// What may be there, and may be wrong. Only the absent is reported as missing.
#[derive(Clone, Debug)]
pub(super) enum Given<T> {
    Absent,
    /// Its problems are recorded.
    Broken,
    Is(T),
}

impl<T> Given<T> {
    /// Something that was there and that its parser took, or recorded a problem about.
    pub(super) fn parsed(value: Option<T>) -> Self {
        value.map_or(Self::Broken, Self::Is)
    }

    pub(super) fn ok(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Broken => None,
        }
    }
}

/// A mapping with known keys.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) place: Place,
    entries: &'a [Entry],
    known: Vec<String>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(reader: &'a Reader<'a>, node: &'a Node) -> Self {
        Field { reader, place: Place { path: String::new(), line: node.line }, node }.section()
    }

    /// The value of a key, unless it is absent or empty.
    pub(super) fn optional(&mut self, key: &str) -> Option<Field<'a>> {
        self.known.push(key.to_owned());
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let field = Field { reader: self.reader, place: self.place_of(entry), node: &entry.node };
        (!matches!(entry.node.value, Value::Null)).then_some(field)
    }

    /// The value of a key that must be there; `put` completes "missing: …" and "a placeholder for …".
    pub(super) fn required(&mut self, key: &str, put: &str) -> Option<Field<'a>> {
        let field = self.optional(key);
        if field.is_none() {
            self.problem_at(key, format!("missing: {put}"));
        }
        field
    }

    /// An optional scalar.
    pub(super) fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.optional(key)?.parsed(parse)
    }

    /// A scalar that must be there and must not be a placeholder; `put` says what to write instead.
    pub(super) fn needed<T>(&mut self, key: &str, put: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let field = self.required(key, put)?;
        field.needed(put, parse)
    }

    /// A nested mapping, empty where the key is absent, so that its own required keys are reported one by one.
    pub(super) fn section(&mut self, key: &str) -> Self {
        match self.optional(key) {
            Some(field) => field.section(),
            None => {
                let place = Place { path: join(&self.place.path, key), line: self.line_of(key) };
                Section { reader: self.reader, place, entries: &[], known: Vec::new() }
            }
        }
    }

    /// A nested mapping, if it is there.
    pub(super) fn given_section(&mut self, key: &str) -> Option<Self> {
        Some(self.optional(key)?.section())
    }

    /// The elements of a list, none where the key is absent.
    pub(super) fn items(&mut self, key: &str) -> Vec<Field<'a>> {
        self.optional(key).map(|field| field.items()).unwrap_or_default()
    }

    /// Nested mappings under names that the operator chooses.
    pub(super) fn named(self) -> Vec<(String, Self)> {
        self.report_duplicates();
        let first = |entry: &&Entry| {
            self.entries.iter().find(|it| it.key == entry.key).is_some_and(|it| std::ptr::eq(it, *entry))
        };
        let field = |entry: &'a Entry| Field { reader: self.reader, place: self.place_of(entry), node: &entry.node };
        self.entries.iter().filter(first).map(|entry| (entry.key.clone(), field(entry).section())).collect()
    }

    /// Whether a key is there and not empty; does not make it known.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !matches!(entry.node.value, Value::Null))
    }

    /// Whether nothing stands in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records a problem about one key, present or not.
    pub(super) fn problem_at(&self, key: &str, message: impl Into<String>) {
        self.reader.problem(&self.place_at(key), message);
    }

    /// Where a key stands, or would.
    pub(super) fn place_at(&self, key: &str) -> Place {
        Place { path: join(&self.place.path, key), line: self.line_of(key) }
    }

    /// Accepts these keys without looking at their values.
    pub(super) fn skip(mut self, keys: &[&str]) {
        self.known.extend(keys.iter().map(|&key| key.to_owned()));
        self.finish();
    }

    /// Reports keys that nobody asked for and keys that are written twice.
    pub(super) fn finish(self) {
        self.report_duplicates();
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key)) {
            let message = match scalar::nearest(&entry.key, self.known.iter().map(String::as_str)) {
                Some(near) => format!("unknown key; the nearest valid one is `{near}`"),
                None => "unknown key; none is valid here".to_owned(),
            };
            self.reader.problem(&self.place_of(entry), message);
        }
    }

    fn report_duplicates(&self) {
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(first) = self.entries.iter().take(index).find(|before| before.key == entry.key) {
                let message = format!("written twice, first in line {}: keep one", first.line);
                self.reader.problem(&self.place_of(entry), message);
            }
        }
    }

    fn place_of(&self, entry: &Entry) -> Place {
        Place { path: join(&self.place.path, &entry.key), line: entry.line }
    }

    fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.place.line, |entry| entry.line)
    }
}

/// A value that is there.
pub(super) struct Field<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) place: Place,
    node: &'a Node,
}

impl<'a> Field<'a> {
    /// Its text, if it is a scalar.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            Value::Null => self.wrong("a value"),
            Value::Sequence(_) => self.wrong("one value, not a list"),
            Value::Mapping(_) => self.wrong("one value, not a mapping"),
        }
    }

    /// Its text through a parser, whose error is recorded.
    pub(super) fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        parse(self.text()?).map_err(|message| self.problem(message)).ok()
    }

    /// As [`Field::parsed`], with a word of its own for placeholders.
    pub(super) fn needed<T>(&self, put: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        if scalar::is_placeholder(text) {
            self.problem(format!("`{text}` is a placeholder for {put}"));
            return None;
        }
        self.parsed(parse)
    }

    /// Its keys; where it is no mapping, that is recorded and there are none.
    pub(super) fn section(&self) -> Section<'a> {
        let entries: &[Entry] = match &self.node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            Value::Scalar(_) | Value::Sequence(_) => {
                self.problem("must be a mapping of keys to values");
                &[]
            }
        };
        Section { reader: self.reader, place: self.place.clone(), entries, known: Vec::new() }
    }

    /// Its elements; where it is no list, that is recorded and there are none.
    pub(super) fn items(&self) -> Vec<Self> {
        let Value::Sequence(items) = &self.node.value else {
            self.problem("must be a list");
            return Vec::new();
        };
        let field = |(index, node): (usize, &'a Node)| {
            let place = Place { path: format!("{}[{index}]", self.place.path), line: node.line };
            Field { reader: self.reader, place, node }
        };
        items.iter().enumerate().map(field).collect()
    }

    /// One value or a list of them.
    pub(super) fn one_or_more(self) -> Vec<Self> {
        if matches!(self.node.value, Value::Sequence(_)) { self.items() } else { vec![self] }
    }

    /// Records a problem about it.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(&self.place, message);
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        self.problem(format!("must be {expected}"));
        None
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

use std::{fmt, io, path::Path};

/// What a configuration refers to outside itself: variables for `*_env`, files for `*_file`.
pub trait Env: fmt::Debug {
    /// The value of an environment variable, or nothing where it is not set or not text.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is one and it holds nothing")]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

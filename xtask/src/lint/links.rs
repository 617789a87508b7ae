//! Links between the documents lead somewhere.

use std::path::{Path, PathBuf};

use crate::{Failure, command::root};

/// Fails with every relative link of a document that names no file.
pub(super) fn check() -> Result<(), Failure> {
    let mut broken = Vec::new();
    for document in documents(&root()) {
        let text = std::fs::read_to_string(&document).map_err(|error| Failure::new(error.to_string()))?;
        let folder = document.parent().unwrap_or(Path::new("."));
        let dead = targets(&text).filter(|target| !folder.join(target).exists());
        broken.extend(dead.map(|target| format!("{}: {target}", document.display())));
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::new(format!("links lead nowhere:\n{}", broken.join("\n")))) }
}

/// Every document of the repository's own folders.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && name != "target"
    };
    entries
        .filter(is_ours)
        .flat_map(|path| if path.is_dir() { documents(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The files that a document links to, without their anchors.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_followed() {
        let text = "[a](docs/a.md#part) [b](#here) [c](https://example.org/c.md) [d](d.rs)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md", "d.rs"]);
    }
}

//! The mirror's file and its lock.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::file::Media;

/// Why the file could not be taken.
#[derive(Debug)]
pub(super) enum OpenError {
    Locked,
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A file that this process holds by an exclusive lock.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    file: File,
}

impl LockedFile {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        loop {
            let file = File::options().create(true).read(true).append(true).open(path)?;
            try_lock(&file)?;
            // Whoever had it before may have put a new file in its place between our two steps; the lock is on the old one.
            if is_at(&file, path)? {
                return Ok(Self { path: path.to_owned(), file });
            }
        }
    }

    pub(super) fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file.read_to_end(&mut content)?;
        Ok(content)
    }

    fn folder(&self) -> io::Result<PathBuf> {
        let path = std::path::absolute(&self.path)?;
        Ok(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned))
    }
}

impl Media for LockedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !is_at(&self.file, &self.path)? {
            return Err(io::Error::other("the file was removed or another one was put in its place"));
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        if self.path.exists() && !is_at(&self.file, &self.path)? {
            return Err(io::Error::other("another file was put in its place"));
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let beside = PathBuf::from(name);
        // Left by a crash; the lock on the file itself says that nobody else is about it.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::options().create_new(true).read(true).append(true).open(&beside)?;
        file.try_lock().map_err(io::Error::from)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        File::open(self.folder()?)?.sync_all()?;
        self.file = file;
        Ok(())
    }
}

fn try_lock(file: &File) -> Result<(), OpenError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Locked,
        TryLockError::Error(error) => OpenError::Io(error),
    })
}

/// Whether the open file is the one that the path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that is locked is neither removed nor replaced.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

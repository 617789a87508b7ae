//! Values that stand outside the file: in environment variables and in files of their own.

use std::path::Path;

use secrecy::SecretString;

use super::{
    reader::{Field, Given, Section},
    scalar,
    secret_url::SecretUrl,
};

impl<'a> Section<'a> {
    /// A secret from `<key>_env` or `<key>_file`, of which exactly one must be there.
    pub(super) fn needed_secret(&mut self, key: &str) -> Option<SecretString> {
        let (env_key, file_key) = (format!("{key}_env"), format!("{key}_file"));
        let (env, file) = (self.optional(&env_key), self.optional(&file_key));
        match (env, file) {
            (Some(env), None) => env.variable(),
            (None, Some(file)) => file.contents(),
            (Some(_), Some(file)) => {
                file.problem(format!("`{env_key}` is given as well: keep one of the two"));
                None
            }
            (None, None) => {
                self.problem_at(
                    &env_key,
                    format!("missing: name the environment variable that holds it, or give `{file_key}`"),
                );
                None
            }
        }
    }

    /// A secret from `<key>_env` or `<key>_file`, if either is there; `None` where it is wrong.
    pub(super) fn given_secret(&mut self, key: &str) -> Option<Option<SecretString>> {
        if self.has(&format!("{key}_env")) || self.has(&format!("{key}_file")) {
            return self.needed_secret(key).map(Some);
        }
        for form in ["env", "file"] {
            self.optional(&format!("{key}_{form}"));
        }
        Some(None)
    }

    /// A URL from `<key>` or from the variable that `<key>_env` names.
    pub(super) fn secret_url(&mut self, key: &str, schemes: &[&str]) -> Given<SecretUrl> {
        let env_key = format!("{key}_env");
        match (self.optional(key), self.optional(&env_key)) {
            (None, None) => Given::Absent,
            (Some(_), Some(env)) => {
                env.problem(format!("`{key}` is given as well: keep one of the two"));
                Given::Broken
            }
            (Some(field), None) => Given::parsed(field.parsed(|text| SecretUrl::parse(text, schemes))),
            (None, Some(env)) => Given::parsed(env.variable_parsed(|text| SecretUrl::parse(text, schemes))),
        }
    }
}

impl Field<'_> {
    /// The value of the variable that the field names.
    pub(super) fn variable(&self) -> Option<SecretString> {
        self.variable_parsed(|value| Ok(SecretString::from(value)))
    }

    /// The value of the variable that the field names, through a parser whose errors do not repeat it.
    pub(super) fn variable_parsed<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let name = self.parsed(variable_name)?;
        let Some(value) = self.reader.env.variable(&name).filter(|value| !value.trim().is_empty()) else {
            self.problem(format!("environment variable {name} is not set"));
            return None;
        };
        parse(value.trim()).map_err(|message| self.problem(format!("environment variable {name}: {message}"))).ok()
    }

    /// The text of the file that the field names, without the white space around it.
    fn contents(&self) -> Option<SecretString> {
        let path = self.parsed(scalar::text)?;
        match self.reader.env.file(Path::new(&path)) {
            Ok(text) if text.trim().is_empty() => {
                self.problem("the file that it names is empty");
                None
            }
            Ok(text) => Some(SecretString::from(text.trim())),
            Err(error) => {
                self.problem(format!("the file that it names cannot be read: {}", error.kind()));
                None
            }
        }
    }
}

/// The name of a variable. A secret that stands here by mistake must not be repeated in an error, hence upper case alone
/// and never something as long as a key.
pub(super) fn variable_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let starts = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    if starts && text.len() < 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("must be the name of an environment variable in upper case, such as HSM_PIN, and never the secret itself"
            .to_owned())
    }
}

use std::{fmt, sync::Arc};

use gcloud_sdk::{
    GoogleAuthHeaders,
    google_cloud_auth::{
        build_errors::Error,
        credentials::{Builder, Credentials, mds, service_account},
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::config::GcpConfigError;

/// What an application of Google Cloud usually asks for; what it may do is decided by its roles.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// A token that a key of our own makes is of use for the key service alone.
const KMS: &str = "https://www.googleapis.com/auth/cloudkms";

/// Who asks Google Cloud for signatures. `Debug` shows no secret.
#[derive(Clone)]
pub struct GcpCredentials(Source);

#[derive(Clone)]
enum Source {
    Default { metadata: Option<Url> },
    ServiceAccount { email: String, key: Arc<SecretString> },
    Nobody,
}

impl GcpCredentials {
    /// The application default credentials: the file that the variable `GOOGLE_APPLICATION_CREDENTIALS` names or that
    /// `gcloud auth application-default login` wrote, else what the metadata server gives, which is the service account of
    /// a virtual machine, a container or, with workload identity, a pod.
    #[must_use]
    pub const fn application_default() -> Self {
        Self(Source::Default { metadata: None })
    }

    /// The key of a service account, as JSON in the form in which the console and `gcloud` write it. Tokens are made from it
    /// without asking anybody.
    ///
    /// # Errors
    /// [`GcpConfigError::ServiceAccount`] if it is anything else.
    pub fn service_account(json: SecretString) -> Result<Self, GcpConfigError> {
        let key: Value = serde_json::from_str(json.expose_secret()).map_err(|_| GcpConfigError::ServiceAccount)?;
        let text = |name: &str| key.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some("service_account"), Some(email), Some(_), Some(_), Some(_)) =
            (text("type"), text("client_email"), text("private_key"), text("private_key_id"), text("project_id"))
        else {
            return Err(GcpConfigError::ServiceAccount);
        };
        Ok(Self(Source::ServiceAccount { email: email.to_owned(), key: Arc::new(json) }))
    }

    /// Nobody in particular, for stand-ins of the service.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(Source::Nobody)
    }

    /// Asks this metadata server and looks for no file; without effect on other credentials than the default ones.
    #[must_use]
    pub fn with_metadata_server(self, url: Url) -> Self {
        match self.0 {
            Source::Default { .. } => Self(Source::Default { metadata: Some(url) }),
            other => Self(other),
        }
    }

    /// Whether tokens are sent along.
    pub(super) const fn is_somebody(&self) -> bool {
        !matches!(self.0, Source::Nobody)
    }

    /// Makes what gets tokens and renews them, in a task on the present runtime.
    pub(super) fn headers(&self) -> Result<GoogleAuthHeaders, Error> {
        self.build().map(GoogleAuthHeaders::from)
    }

    fn build(&self) -> Result<Credentials, Error> {
        match &self.0 {
            Source::Default { metadata: None } => Builder::default().with_scopes([PLATFORM]).build(),
            Source::Default { metadata: Some(server) } => {
                mds::Builder::default().with_endpoint(server.as_str()).with_scopes([PLATFORM]).build()
            }
            Source::ServiceAccount { key, .. } => {
                // It was JSON when this was made.
                let key = serde_json::from_str(key.expose_secret()).unwrap_or_default();
                let scope = service_account::AccessSpecifier::from_scopes([KMS]);
                service_account::Builder::new(key).with_access_specifier(scope).build()
            }
            Source::Nobody => Ok(gcloud_sdk::google_cloud_auth::credentials::anonymous::Builder::new().build()),
        }
    }
}

impl fmt::Debug for GcpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Default { metadata: None } => f.write_str("GcpCredentials(application default)"),
            Source::Default { metadata: Some(_) } => f.write_str("GcpCredentials(metadata server)"),
            Source::ServiceAccount { email, .. } => write!(f, "GcpCredentials(service account {email:?})"),
            Source::Nobody => f.write_str("GcpCredentials(nobody)"),
        }
    }
}

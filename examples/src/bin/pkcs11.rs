//! A key in a PKCS#11 token: made, opened, used, and in trouble. AWS CloudHSM is one, too.
//!
//! Without configuration it plays against a SoftHSM token in a folder that it removes again. With a real one, as it was set up
//! in docs/keys.md, and the PIN in `HSM_PIN` (for CloudHSM `user:password`):
//!
//! ```text
//! DVN_PKCS11_LIBRARY=/opt/cloudhsm/lib/libcloudhsm_pkcs11.so DVN_PKCS11_KEY=dvn-signing-key \
//!     cargo run -p dvn-examples --bin pkcs11
//! ```
//!
//! `DVN_PKCS11_TOKEN` names the token by its label, where the library shows several.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use dvn_core::ports::Signer;
use dvn_examples::{
    Failure,
    device::{refuse, sign},
};
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, provision::Provisioner, softhsm};
use secrecy::SecretString;

/// Set for the process that plays: SoftHSM reads its configuration from the environment it was started with.
const FOLDER: &str = "DVN_EXAMPLE_FOLDER";
const TOKEN: &str = "dvn";
const KEY: &str = "dvn-signing-key";
const PIN: &str = "only-an-example";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    if let Some(library) = env::var_os("DVN_PKCS11_LIBRARY") {
        return sign(&open_real(library.into()).await?).await;
    }
    match env::var_os(FOLDER) {
        Some(folder) => play(Path::new(&folder)).await,
        None => set_stage(),
    }
}

/// What an embedder writes.
async fn open_real(library: PathBuf) -> Result<Pkcs11Signer, Failure> {
    let key = env::var("DVN_PKCS11_KEY").map_err(|_| "DVN_PKCS11_KEY must be the key's label")?;
    let pin = SecretString::from(env::var("HSM_PIN").map_err(|_| "HSM_PIN must be the token's PIN")?);
    let config = match env::var("DVN_PKCS11_TOKEN") {
        Ok(token) => Pkcs11Config::new(library, token, key, pin),
        Err(_) => Pkcs11Config::only_token(library, key, pin),
    };
    // The vendor's library blocks.
    Ok(tokio::task::spawn_blocking(|| Pkcs11Signer::open(config)).await??)
}

/// Starts this program once more, with a SoftHSM of its own.
fn set_stage() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (tokens, file) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    std::fs::create_dir(&tokens)?;
    std::fs::write(&file, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))?;
    let status = Command::new(env::current_exe()?).env(FOLDER, folder.path()).env("SOFTHSM2_CONF", file).status()?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
}

/// Makes a token and its key, signs, and takes the token away for a while.
async fn play(folder: &Path) -> Result<(), Failure> {
    let library = softhsm::locate().ok_or("SoftHSM is not installed: on Debian, apt-get install softhsm2")?;
    let provisioner = Provisioner::load(&library)?;
    provisioner.init_token(TOKEN, &"an-officer".into(), &PIN.into())?;
    let address = provisioner.generate_key(TOKEN, &PIN.into(), KEY, &[1])?;
    println!("made {address} in the token {TOKEN}");
    let config = Pkcs11Config::new(library, TOKEN, KEY, PIN.into());
    let signer = tokio::task::spawn_blocking(|| Pkcs11Signer::open(config)).await??;
    println!("opened {}", signer.address());
    sign(&signer).await?;

    println!("the token is taken away:");
    let (tokens, away) = (folder.join("tokens"), folder.join("away"));
    std::fs::rename(&tokens, &away)?;
    refuse(&signer).await?;
    println!("and put back:");
    std::fs::rename(&away, &tokens)?;
    until_it_signs(&signer).await
}

/// A token that was gone is looked for again after a moment.
async fn until_it_signs(signer: &Pkcs11Signer) -> Result<(), Failure> {
    for _ in 0..100 {
        if signer.check().await.is_ok() {
            return sign(signer).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err("it did not come back".into())
}

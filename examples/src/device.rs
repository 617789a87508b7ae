//! What a story about a signing device does with it.

use std::error::Error;

use alloy_primitives::{B256, keccak256};
use dvn_core::{ports::Signer, signature};

use crate::Failure;

/// Signs a digest of no protocol, looks at the signature, and says so on standard output.
///
/// # Errors
/// When the device does not sign, or signs wrongly.
///
/// # Cancel safety
/// As [`Signer::sign_digest`].
#[expect(clippy::print_stdout, reason = "programs for a terminal tell what happens")]
pub async fn sign(signer: &dyn Signer) -> Result<(), Failure> {
    let digest = digest();
    let signature = signer.sign_digest(digest).await?;
    signature::check(digest, &signature, signer.address())?;
    println!("  {digest} is signed by {}", signer.address());
    Ok(())
}

/// Asks for a signature that must not come out, and says on standard output why it does not.
///
/// # Errors
/// When it comes out.
///
/// # Cancel safety
/// As [`Signer::sign_digest`].
#[expect(clippy::print_stdout, reason = "programs for a terminal tell what happens")]
pub async fn refuse(signer: &dyn Signer) -> Result<(), Failure> {
    match signer.sign_digest(digest()).await {
        Ok(_) => Err("it came out".into()),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            println!("  {error}{cause}");
            Ok(())
        }
    }
}

/// Of no protocol: a DVN's attestor makes real ones, and nothing else may.
fn digest() -> B256 {
    keccak256("an example of a digest")
}

//! The well-known development keys that every local node knows and everybody has: worthless by intent.

use std::fmt;

use alloy_primitives::{Address, B256, Signature, b256};
use k256::ecdsa::SigningKey;

/// The accounts of the mnemonic "test test test test test test test test test test test junk", as Anvil derives them.
const MNEMONIC_KEYS: [B256; 20] = [
    b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
    b256!("0xf214f2b2cd398c806f84e317254e0f0b801d0643303237d97a22a48e01628897"),
    b256!("0x701b615bbdfb9de65240bc28bd21bbc0d996645a3dd57e7b12bc2bdf6f192c82"),
    b256!("0xa267530f49f8280200edf313ee7af6b827f2a8bce2897751d06a843f644967b1"),
    b256!("0x47c99abed3324a2707c28affff1267e45918ec8c3f20b8aa892e8b065d2942dd"),
    b256!("0xc526ee95bf44d8fc405a158bb884d9d1238d99f0612e9f33d006bb0789009aaa"),
    b256!("0x8166f546bab6da521a8369cab06c5d2b9e46670292d85c875ee9ec20e84ffb61"),
    b256!("0xea6c44ac03bff858b476bba40716402b03e41b8e97e276d1baec7c37d42484a0"),
    b256!("0x689af8efa8c651a91ad287602527f3af2fe9f6501a7ac4b061667b5a93e037fd"),
    b256!("0xde9be858da4a475276426320d5e9262ecfc3ba460bfac56360bfa6c4c28b4ee0"),
    b256!("0xdf57089febbacf7ba0bc227dafbffa9fc08a93fdc68e1e42411a14efcf23656e"),
];

const DEPLOYER: usize = 0;
const EXECUTOR: usize = 1;
const FIRST_SUBMITTER: usize = 2;
const OTHER_SIGNER: usize = 9;
const FIRST_SIGNER: usize = 10;

/// How many different submitters [`submitter`] knows.
pub const SUBMITTERS: usize = OTHER_SIGNER - FIRST_SUBMITTER;

/// How many different signers [`signer`] knows.
pub const SIGNERS: usize = MNEMONIC_KEYS.len() - FIRST_SIGNER;

/// A secp256k1 key held in memory. It prints as its address.
#[derive(Clone)]
pub struct Key {
    secret: SigningKey,
    address: Address,
}

impl Key {
    /// Makes a key of 32 secret bytes; `None` for zero and for numbers not below the order of the curve.
    pub fn from_secret(secret: &B256) -> Option<Self> {
        let secret = SigningKey::from_slice(secret.as_slice()).ok()?;
        let address = Address::from_private_key(&secret);
        Some(Self { secret, address })
    }

    /// The Ethereum address of the public key.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The secret bytes, for configurations that take a development key.
    pub fn secret(&self) -> B256 {
        B256::from_slice(&self.secret.to_bytes())
    }

    /// Signs a digest as it is, without any prefix; `s` is in the lower half.
    #[expect(clippy::expect_used, reason = "signing fails only for digests shorter than half a scalar")]
    #[expect(clippy::missing_panics_doc, reason = "32 bytes are always enough")]
    pub fn sign(&self, digest: &B256) -> Signature {
        self.secret.sign_prehash_recoverable(digest.as_slice()).expect("32 bytes can be signed").into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.address).finish()
    }
}

/// Deploys and owns every contract, and is the delegate of the applications.
pub fn deployer() -> Key {
    mnemonic_key(DEPLOYER)
}

/// Commits verifications and delivers messages.
pub fn executor() -> Key {
    mnemonic_key(EXECUTOR)
}

/// The `index`-th account that may call `DVN.execute`; counts round after [`SUBMITTERS`].
pub fn submitter(index: usize) -> Key {
    mnemonic_key(FIRST_SUBMITTER.saturating_add(index.rem_euclid(SUBMITTERS)))
}

/// The `index`-th attesting key; counts round after [`SIGNERS`].
pub fn signer(index: usize) -> Key {
    mnemonic_key(FIRST_SIGNER.saturating_add(index.rem_euclid(SIGNERS)))
}

/// The single attesting key and admin of the DVN that is not ours.
pub fn other_signer() -> Key {
    mnemonic_key(OTHER_SIGNER)
}

#[expect(clippy::expect_used, reason = "every entry of the table is tried by a test")]
fn mnemonic_key(index: usize) -> Key {
    MNEMONIC_KEYS.get(index).and_then(Key::from_secret).expect("the table holds valid keys")
}

#[cfg(test)]
mod tests {
    use alloy_primitives::address;

    use super::*;

    #[test]
    fn every_key_of_the_table_is_valid_and_different() {
        let mut addresses: Vec<_> = (0..MNEMONIC_KEYS.len()).map(|index| mnemonic_key(index).address()).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), MNEMONIC_KEYS.len());
    }

    #[test]
    fn the_first_account_is_the_one_that_everybody_knows() {
        assert_eq!(deployer().address(), address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
    }

    #[test]
    fn a_key_prints_as_its_address() {
        let key = deployer();
        let shown = format!("{key:?}");
        assert!(shown.contains(&format!("{:?}", key.address())));
        assert!(!shown.contains(&format!("{:x}", key.secret())));
    }
}

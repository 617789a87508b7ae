//! Finds the one token and the one key of their labels, and checks that the key is what it should be.

use alloy_primitives::Address;
use cryptoki::{
    context::Pkcs11,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
    slot::Slot,
};
use k256::ecdsa::VerifyingKey;

use super::fault::Fault;

/// `CKA_EC_PARAMS` of secp256k1: the DER of OID 1.3.132.0.10 (SEC 2, section 2.4.1).
pub(crate) const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// DER of an OCTET STRING of 65 bytes, which PKCS#11 puts around a point; some tokens leave it out.
const POINT_HEADER: [u8; 2] = [0x04, 0x41];

/// How a key is named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyName<'a> {
    pub(crate) label: &'a str,
    pub(crate) id: Option<&'a [u8]>,
}

/// A key pair that may sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundKey {
    pub(crate) private: ObjectHandle,
    pub(crate) address: Address,
    /// Whether the token would let the private key out, wrapped or plain.
    pub(crate) extractable: bool,
}

/// The slot of the only token with this label, or of the only token there is. A slot that gives no information is passed over, since one dead slot must
/// not hide the others.
pub(crate) fn find_slot(pkcs11: &Pkcs11, label: Option<&str>) -> Result<Slot, Fault> {
    let mut present = Vec::new();
    let mut found = Vec::new();
    for slot in pkcs11.get_slots_with_token()? {
        let Ok(info) = pkcs11.get_token_info(slot) else { continue };
        let wanted = label.map_or_else(|| info.token_initialized(), |label| info.label() == label);
        if wanted {
            found.push(slot);
        } else if info.token_initialized() {
            present.push(info.label().to_owned());
        }
    }
    let label = label.unwrap_or("any label").to_owned();
    match found.as_slice() {
        [] => Err(Fault::TokenAbsent { label, present }),
        [slot] => Ok(*slot),
        slots => Err(Fault::TokenAmbiguous { label, count: slots.len() }),
    }
}

/// The key pair of this name, on the right curve and allowed to sign.
pub(crate) fn find_key(session: &Session, name: KeyName<'_>) -> Result<FoundKey, Fault> {
    let private = find_one(session, name, ObjectClass::PRIVATE_KEY, "private")?;
    let public = find_one(session, name, ObjectClass::PUBLIC_KEY, "public")?;
    let extractable = check_private(session, private)?;
    let address = address_of(session, public)?;
    Ok(FoundKey { private, address, extractable })
}

/// How many objects of a class have this name.
pub(crate) fn count(session: &Session, name: KeyName<'_>, class: ObjectClass) -> Result<usize, Fault> {
    Ok(session.find_objects(&template(name, class))?.len())
}

fn find_one(
    session: &Session,
    name: KeyName<'_>,
    class: ObjectClass,
    word: &'static str,
) -> Result<ObjectHandle, Fault> {
    match session.find_objects(&template(name, class))?.as_slice() {
        [] => Err(Fault::KeyAbsent { class: word }),
        [handle] => Ok(*handle),
        handles => Err(Fault::KeyAmbiguous { class: word, count: handles.len() }),
    }
}

fn template(name: KeyName<'_>, class: ObjectClass) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC),
        Attribute::Label(name.label.as_bytes().to_vec()),
    ];
    template.extend(name.id.map(|id| Attribute::Id(id.to_vec())));
    template
}

/// Says whether the key is extractable. An attribute that the token does not show is not held against it.
fn check_private(session: &Session, handle: ObjectHandle) -> Result<bool, Fault> {
    let wanted = [AttributeType::EcParams, AttributeType::Sign, AttributeType::Extractable];
    let mut extractable = false;
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::EcParams(params) => check_curve(&params)?,
            Attribute::Sign(false) => return Err(unfit("the private key may not sign: CKA_SIGN is false")),
            Attribute::Extractable(value) => extractable = value,
            _ => {}
        }
    }
    Ok(extractable)
}

/// The address of a public object, whose curve and point must be there.
fn address_of(session: &Session, handle: ObjectHandle) -> Result<Address, Fault> {
    let (mut params, mut point) = (None, None);
    for attribute in session.get_attributes(handle, &[AttributeType::EcParams, AttributeType::EcPoint])? {
        match attribute {
            Attribute::EcParams(value) => params = Some(value),
            Attribute::EcPoint(value) => point = Some(value),
            _ => {}
        }
    }
    check_curve(&params.ok_or_else(|| unfit("the public key has no CKA_EC_PARAMS"))?)?;
    address(&point.ok_or_else(|| unfit("the public key has no CKA_EC_POINT"))?)
}

/// Without this a P-256 key of the same label would be taken.
fn check_curve(params: &[u8]) -> Result<(), Fault> {
    if params == SECP256K1 { Ok(()) } else { Err(unfit("the key is not on the curve secp256k1, make one that is")) }
}

/// Accepts the uncompressed point bare or as a DER OCTET STRING, and nothing else.
fn address(encoded: &[u8]) -> Result<Address, Fault> {
    let point = match encoded.strip_prefix(&POINT_HEADER) {
        Some(point) if point.len() == 65 => point,
        _ => encoded,
    };
    if point.len() != 65 {
        return Err(unfit("CKA_EC_POINT is not an uncompressed point"));
    }
    let key = VerifyingKey::from_sec1_bytes(point).map_err(|_| unfit("CKA_EC_POINT is not on the curve"))?;
    Ok(Address::from_public_key(&key))
}

fn unfit(reason: &str) -> Fault {
    Fault::KeyUnfit(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;

    use super::*;

    fn point() -> (Vec<u8>, Address) {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let point = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        (point, Address::from_private_key(&key))
    }

    #[test]
    fn a_point_may_be_bare_or_der() {
        let (bare, expected) = point();
        let der = [POINT_HEADER.as_slice(), &bare].concat();
        assert_eq!(address(&bare).unwrap(), expected);
        assert_eq!(address(&der).unwrap(), expected);
    }

    #[test]
    fn any_other_point_is_refused() {
        let (bare, _) = point();
        let der = [POINT_HEADER.as_slice(), &bare].concat();
        let mut off_curve = bare.clone();
        off_curve[64] ^= 1;
        let compressed = [&[0x02], &bare[1..33]].concat();
        let long = [bare.as_slice(), &[0]].concat();
        let cases: [&[u8]; 6] = [&[], &bare[..64], &der[..66], &off_curve, &compressed, &long];
        for encoded in cases {
            assert!(matches!(address(encoded), Err(Fault::KeyUnfit(_))), "{encoded:02x?}");
        }
    }

    #[test]
    fn another_curve_is_refused() {
        let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        assert!(check_curve(&SECP256K1).is_ok());
        assert!(matches!(check_curve(&p256), Err(Fault::KeyUnfit(_))));
    }
}

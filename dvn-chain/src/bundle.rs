//! Many view calls in one `eth_call`, without a contract for it: creation code that makes the calls and returns what they
//! returned. One question to a seat, however many packets it is about.

use alloy::primitives::{Address, Bytes};

/// The program, in EVM byte code of the London fork and later. Behind it stand the calls, each as 20 bytes of address, 2
/// bytes of length and the calldata; it returns 65 bytes for each: whether the call succeeded, and the first 64 bytes that
/// it returned.
const PROGRAM: [u8; 70] = [
    // Copies the calls to memory: [end]
    0x60, 0x46, 0x80, 0x38, 0x03, 0x80, 0x91, 0x60, 0x00,
    0x39, // PUSH1 70 DUP1 CODESIZE SUB DUP1 SWAP2 PUSH1 0 CODECOPY
    0x80, 0x60, 0x00, // DUP1 PUSH1 0: [in out end]
    // Until `in` reaches `end`:
    0x5b, 0x82, 0x81, 0x10, 0x60, 0x1a, 0x57, // JUMPDEST DUP3 DUP2 LT PUSH1 26 JUMPI
    0x50, 0x81, 0x90, 0x03, 0x90, 0xf3, // POP DUP2 SWAP1 SUB SWAP1 RETURN
    // One call:
    0x5b, 0x80, 0x51, // JUMPDEST DUP1 MLOAD: [word in out end]
    0x80, 0x60, 0x50, 0x1c, 0x61, 0xff, 0xff, 0x16, // DUP1 PUSH1 80 SHR PUSH2 0xffff AND: [len word in out end]
    0x60, 0x40, 0x84, 0x60, 0x01, 0x01, // PUSH1 64 DUP5 PUSH1 1 ADD: where 64 bytes go
    0x82, 0x85, 0x60, 0x16, 0x01, // DUP3 DUP6 PUSH1 22 ADD: calldata
    0x85, 0x60, 0x60, 0x1c, 0x5a, 0xfa, // DUP6 PUSH1 96 SHR GAS STATICCALL: [ok len word in out end]
    0x84, 0x53, // DUP5 MSTORE8
    0x90, 0x50, 0x01, 0x60, 0x16, 0x01, // SWAP1 POP ADD PUSH1 22 ADD: [in' out end]
    0x90, 0x60, 0x41, 0x01, 0x90, // SWAP1 PUSH1 65 ADD SWAP1: [in' out' end]
    0x60, 0x0d, 0x56, // PUSH1 13 JUMP
];

/// Bytes returned for each call.
const PART: usize = 65;

/// Calls in one bundle: a result may not be longer than a contract (24,576 bytes, EIP-170), a program not longer than 49,152
/// bytes (EIP-3860).
pub(crate) const MOST: usize = 300;

/// What a bundled call returned: its first 64 bytes, or nothing where it failed.
pub(crate) type Returned = Option<[u8; 64]>;

/// The creation code for these calls.
pub(crate) fn encode(calls: &[(Address, Vec<u8>)]) -> Bytes {
    let mut code = PROGRAM.to_vec();
    for (to, data) in calls {
        code.extend_from_slice(to.as_slice());
        code.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        code.extend_from_slice(data);
    }
    code.into()
}

/// The results, or nothing where these are not the results of so many calls.
pub(crate) fn decode(calls: usize, returned: &[u8]) -> Option<Vec<Returned>> {
    if returned.len() != calls.checked_mul(PART)? {
        return None;
    }
    returned
        .chunks_exact(PART)
        .map(|part| {
            let (ok, words) = part.split_first()?;
            let words: [u8; 64] = words.try_into().ok()?;
            match ok {
                0 => Some(None),
                1 => Some(Some(words)),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jumps_of_the_program_land() {
        assert_eq!(usize::from(PROGRAM[1]), PROGRAM.len());
        for destination in [PROGRAM[18], PROGRAM[68]] {
            assert_eq!(PROGRAM[usize::from(destination)], 0x5b);
        }
    }

    #[test]
    fn results_of_another_length_are_none() {
        let mut returned = vec![1; PART];
        returned.extend([0; PART]);
        assert_eq!(decode(2, &returned), Some(vec![Some([1; 64]), None]));
        assert_eq!(decode(1, &returned), None);
        assert_eq!(decode(2, &returned[1..]), None);
        assert_eq!(decode(1, &[7; PART]), None);
    }

    #[test]
    fn a_bundle_of_the_largest_size_is_within_the_limits() {
        let calls = vec![(Address::ZERO, vec![0; 100]); MOST];
        assert!(encode(&calls).len() <= 49_152);
        const { assert!(MOST * PART <= 24_576) };
    }
}

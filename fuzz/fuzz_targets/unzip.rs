//! The delta packing: reading any bytes, strictly and laxly, and packing any values.
//!
//! Input: a packet, also taken as eight-byte values to pack.

#![no_main]

use k485_proto::unzip::{MAX_COUNT, Signedness, UnzipError, unzip, unzip_lax, zip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for signedness in [Signedness::Signed, Signedness::Unsigned] {
        let (strict, lax) = (unzip(input, signedness), unzip_lax(input, signedness));
        match (&strict, &lax) {
            (Ok(strict), Ok(lax)) => {
                assert_eq!(strict, lax);
                let packed = zip(strict, signedness).expect("what was unpacked packs again");
                assert!(packed.len() <= input.len(), "{packed:02x?} for {input:02x?}");
                assert_eq!(unzip(&packed, signedness).as_ref(), Ok(strict));
            }
            (Ok(_), Err(error)) => panic!("strict takes what lax refuses: {error}"),
            (Err(UnzipError::TruncatedHeader { .. }), lax) => {
                assert_eq!(lax.as_ref().err(), strict.as_ref().err());
            }
            (Err(_), lax) => assert!(lax.is_ok(), "{lax:?}"),
        }
        if let Ok(values) = lax {
            assert_eq!(values.len(), usize::from(input[0]));
            let packed = zip(&values, signedness).expect("every step of a packet fits a packet");
            assert_eq!(unzip(&packed, signedness), Ok(values));
        }
        let values: Vec<i64> = input
            .chunks_exact(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
            .collect();
        if let Ok(packed) = zip(&values, signedness) {
            assert!(values.len() <= MAX_COUNT);
            assert_eq!(unzip(&packed, signedness), Ok(values));
        }
    }
});

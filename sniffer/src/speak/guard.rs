//! What may be sent: nothing on a real port without being told to, and only what was allowed.

use std::collections::BTreeSet;

use k485_proto::dialect::Dialect;
use k485_proto::effect::Effect;
use k485_proto::frame::Frame;

/// What whoever runs the program has said about sending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guard {
    /// Whether anything may be sent at all (`--transmit`).
    pub transmit: bool,
    /// What may be sent beside pure reads (`--allow`).
    pub allow: BTreeSet<Effect>,
    /// Whether real devices may be at the other end. Only where this program made both ends itself
    /// there are none, and then everything may be sent.
    pub real: bool,
}

/// Why something is not sent, and what would let it be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// Device and function, or the bytes.
    pub what: String,
    /// What it would do.
    pub effect: Effect,
    /// Whether `--transmit` is missing.
    pub transmit: bool,
    /// Whether `--allow` with this effect is missing.
    pub allow: bool,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Refusal { what, effect, transmit, allow } = self;
        write!(f, "{what} is not sent: ")?;
        if *allow {
            write!(f, "it is of the class {effect} ({})", effect.meaning())?;
        }
        if *allow && *transmit {
            f.write_str(", and ")?;
        }
        if *transmit {
            f.write_str("nothing goes to a port that may be real without --transmit")?;
        }
        let flags = match (transmit, allow) {
            (true, true) => format!("--transmit --allow {effect}"),
            (true, false) => "--transmit".to_owned(),
            _ => format!("--allow {effect}"),
        };
        write!(f, ". If that is meant, add {flags}")
    }
}

impl Guard {
    /// The guard of a link that this program made itself.
    #[must_use]
    pub fn own() -> Guard {
        Guard::default()
    }

    /// Whether a frame may be sent as a request.
    ///
    /// # Errors
    ///
    /// It may not; the flags that are missing.
    pub fn check(&self, frame: &Frame<'_>, dialect: &Dialect) -> Result<(), Refusal> {
        self.judge(dialect.effect(frame), || {
            let device = dialect.device(frame.addr());
            match dialect.find(frame.addr(), frame.func()) {
                Some(function) => format!("{device} {}", function.name),
                None => format!("{device} function {:02X}", frame.func()),
            }
        })
    }

    /// Whether bytes may be sent: a frame as [`Guard::check`] has it, anything else as
    /// [`Effect::Firmware`].
    ///
    /// # Errors
    ///
    /// As [`Guard::check`].
    pub fn check_bytes(&self, bytes: &[u8], dialect: &Dialect) -> Result<(), Refusal> {
        match Frame::from_bytes(bytes) {
            Ok(frame) => self.check(&frame, dialect),
            Err(_) => self.judge(Effect::Firmware, || "what is no frame".to_owned()),
        }
    }

    fn judge(&self, effect: Effect, what: impl FnOnce() -> String) -> Result<(), Refusal> {
        if !self.real {
            return Ok(());
        }
        let transmit = !self.transmit;
        let allow = effect != Effect::Read && !self.allow.contains(&effect);
        if transmit || allow {
            return Err(Refusal { what: what(), effect, transmit, allow });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::dialect::K2;
    use k485_proto::message::kind::hex_bytes;

    fn guard(transmit: bool, allow: &[Effect]) -> Guard {
        Guard { transmit, allow: allow.iter().copied().collect(), real: true }
    }

    fn check(guard: &Guard, hex: &str) -> Result<(), String> {
        let bytes = hex_bytes(hex).unwrap();
        guard.check_bytes(&bytes, &K2).map_err(|refusal| refusal.to_string())
    }

    /// A frame of each class.
    const FRAMES: [(Effect, &str); 5] = [
        (Effect::Read, "f70103ff0571"),
        (Effect::Clear, "f70103ff0a5c"),
        (Effect::Motion, "f70106ff1001040082"),
        (Effect::Setting, "f70105ff04000190"),
        (Effect::Firmware, "f7ff04000b01c8"),
    ];

    fn frame(hex: &str) -> String {
        // The CRC is of no matter here.
        let mut bytes = hex_bytes(hex).unwrap();
        let last = bytes.len() - 1;
        bytes[last] = k485_proto::crc::crc8(&bytes[2..last]);
        k485_proto::frame::Hex(&bytes).to_string()
    }

    #[test]
    fn each_class_needs_its_own_word() {
        for allowed in Effect::ALL {
            let guard = guard(true, &[allowed]);
            for (effect, hex) in FRAMES {
                let may = effect == Effect::Read || effect == allowed;
                assert_eq!(check(&guard, &frame(hex)).is_ok(), may, "{effect} {allowed}");
            }
        }
        // No word at all, and no --transmit.
        for (effect, hex) in FRAMES {
            assert_eq!(check(&guard(true, &[]), &frame(hex)).is_ok(), effect == Effect::Read);
            assert!(check(&guard(false, &Effect::ALL), &frame(hex)).is_err());
        }
    }

    #[test]
    fn what_this_program_made_may_hear_anything() {
        for (_, hex) in FRAMES {
            assert_eq!(check(&Guard::own(), &frame(hex)), Ok(()));
        }
        assert_eq!(check(&Guard::own(), "0102"), Ok(()));
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        assert_eq!(
            check(&guard(false, &[]), "f70103ff0571").unwrap_err(),
            "box1 GET_BUFFER_STATE is not sent: nothing goes to a port that may be real without \
             --transmit. If that is meant, add --transmit"
        );
        assert_eq!(
            check(&guard(true, &[Effect::Clear]), &frame("f70106ff1001040082")).unwrap_err(),
            "box1 EXTRUDE_PROCESS is not sent: it is of the class motion (moves something, or may \
             make it move). If that is meant, add --allow motion"
        );
        let both = check(&guard(false, &[]), &frame("f70103ff1200")).unwrap_err();
        assert!(both.starts_with("box1 function 12 is not sent: it is of the class firmware ("));
        assert!(both.ends_with("add --transmit --allow firmware"), "{both}");
        assert!(check(&guard(true, &[]), "0102").unwrap_err().starts_with("what is no frame is"));
    }
}

//! The fields of a fault, as tables and lines write them: what reads them, the page that explains
//! them and a schema are made of these two tables.

/// A field of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The kinds that have it; empty for every kind.
    pub kinds: &'static [&'static str],
    /// What it takes.
    pub takes: Takes,
    /// What holds where it is left out, in words.
    pub default: &'static str,
    /// What it says.
    pub doc: &'static str,
}

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Takes {
    /// A kind's name.
    Kind,
    /// A filter.
    Filter,
    /// `request`, `response`, `both`.
    Direction,
    /// A number from 0 to 1.
    Probability,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A length of time with its unit.
    Length,
    /// A status's name, or a byte.
    Status,
    /// A function's name, or a byte.
    Function,
    /// A device's name, or a byte.
    Device,
}

impl Takes {
    /// What is to be written, for people.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Takes::Kind => "a kind such as drop".to_owned(),
            Takes::Filter => "a filter such as addr==box1".to_owned(),
            Takes::Direction => "request, response or both".to_owned(),
            Takes::Probability => "a number from 0 to 1".to_owned(),
            Takes::Count(from, u64::MAX) => format!("a whole number from {from}"),
            Takes::Count(from, to) => format!("a whole number from {from} to {to}"),
            Takes::Length => "a length of time with its unit, such as 50ms, 2s or 1m".to_owned(),
            Takes::Status => "a status such as STATE_ERR or 0x14".to_owned(),
            Takes::Function => "a function such as GET_BOX_STATE or 0x0a".to_owned(),
            Takes::Device => "a device such as box1 or 0x41".to_owned(),
        }
    }
}

const TIMED: &[&str] = &["delay", "babble", "offline", "slow_boot", "busy"];
const DEVICES: &[&str] = &["babble", "offline", "reset", "slow_boot", "busy"];

/// Every field.
pub const FIELDS: &[Field] = &[
    Field {
        name: "kind",
        kinds: &[],
        takes: Takes::Kind,
        default: "must be there",
        doc: "what is done",
    },
    Field {
        name: "when",
        kinds: &[],
        takes: Takes::Filter,
        default: "every frame",
        doc: "what is struck",
    },
    Field {
        name: "direction",
        kinds: &[],
        takes: Takes::Direction,
        default: "both; response for wrong_status; request for echo and what befalls a device",
        doc: "which way it strikes",
    },
    Field {
        name: "probability",
        kinds: &[],
        takes: Takes::Probability,
        default: "1",
        doc: "how likely it strikes",
    },
    Field {
        name: "after",
        kinds: &[],
        takes: Takes::Count(0, u64::MAX),
        default: "0",
        doc: "so many that it could strike pass first",
    },
    Field {
        name: "every",
        kinds: &[],
        takes: Takes::Count(1, u64::MAX),
        default: "1",
        doc: "then it strikes the first and every so-manieth behind it",
    },
    Field {
        name: "times",
        kinds: &[],
        takes: Takes::Count(1, u64::MAX),
        default: "without end",
        doc: "it strikes so often and no more",
    },
    Field {
        name: "for",
        kinds: &[],
        takes: Takes::Length,
        default: "without end",
        doc: "it strikes so long from its first strike on and no more",
    },
    Field {
        name: "time",
        kinds: TIMED,
        takes: Takes::Length,
        default: "must be there for delay; 1s for babble and busy; 10s for offline; 5s for slow_boot",
        doc: "how much later, or how long it lasts",
    },
    Field {
        name: "jitter",
        kinds: &["delay"],
        takes: Takes::Length,
        default: "0s",
        doc: "up to so much later still, by chance",
    },
    Field {
        name: "copies",
        kinds: &["duplicate"],
        takes: Takes::Count(1, super::MOST_COPIES as u64),
        default: "1",
        doc: "how many follow",
    },
    Field {
        name: "gap",
        kinds: &["duplicate", "babble"],
        takes: Takes::Length,
        default: "0s for duplicate; 50ms for babble, where 1ms is the least",
        doc: "the pause before each",
    },
    Field {
        name: "keep",
        kinds: &["truncate"],
        takes: Takes::Count(1, 257),
        default: "by chance",
        doc: "how many bytes are left",
    },
    Field {
        name: "at",
        kinds: &["split"],
        takes: Takes::Count(1, 257),
        default: "by chance",
        doc: "behind how many bytes the pause is",
    },
    Field {
        name: "pause",
        kinds: &["split"],
        takes: Takes::Length,
        default: "5ms",
        doc: "how long it is; boxes give a frame up after 120ms",
    },
    Field {
        name: "bits",
        kinds: &["flip_data", "flip_crc", "flip_address"],
        takes: Takes::Count(1, 2048),
        default: "1",
        doc: "how many bits, at most all that there are",
    },
    Field {
        name: "status",
        kinds: &["wrong_status"],
        takes: Takes::Status,
        default: "by chance another one that is known",
        doc: "the STATUS instead",
    },
    Field {
        name: "function",
        kinds: &["wrong_function"],
        takes: Takes::Function,
        default: "by chance another one of such a device",
        doc: "the FUNC instead",
    },
    Field {
        name: "bytes",
        kinds: &["noise_before", "noise_after"],
        takes: Takes::Count(1, super::MOST_NOISE as u64),
        default: "by chance 1 to 8",
        doc: "how many",
    },
    Field {
        name: "device",
        kinds: DEVICES,
        takes: Takes::Device,
        default: "the one whose frame is struck",
        doc: "whom it befalls",
    },
];

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// Its name.
    pub name: &'static str,
    /// The field that a line may give without its name, right behind the kind.
    pub main: Option<&'static str>,
    /// The field that must be there.
    pub needs: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

const fn kind(name: &'static str, main: Option<&'static str>, doc: &'static str) -> KindInfo {
    KindInfo { name, main, needs: None, doc }
}

/// Every kind.
pub const KINDS: &[KindInfo] = &[
    kind("drop", None, "it is lost"),
    KindInfo {
        needs: Some("time"),
        ..kind("delay", Some("time"), "it comes later; what follows it may overtake it")
    },
    kind("duplicate", Some("copies"), "it comes again"),
    kind("truncate", Some("keep"), "its end is lost"),
    kind("split", Some("pause"), "a pause inside it"),
    kind("flip_data", Some("bits"), "bits of DATA turn over: the CRC is wrong"),
    kind("flip_crc", Some("bits"), "bits of the CRC turn over: the CRC is wrong"),
    kind(
        "flip_address",
        Some("bits"),
        "bits of ADDR turn over: the CRC, which does not cover it, is right",
    ),
    kind("wrong_status", Some("status"), "another STATUS, with a CRC that fits"),
    kind("wrong_function", Some("function"), "another FUNC, with a CRC that fits"),
    kind("noise_before", Some("bytes"), "bytes by chance right before it"),
    kind("noise_after", Some("bytes"), "bytes by chance right behind it"),
    kind("echo", None, "whoever sends it hears it back"),
    kind(
        "babble",
        Some("time"),
        "a device repeats its last reply without being asked; noise where it gave none",
    ),
    kind("offline", Some("time"), "a device neither hears nor says anything"),
    kind("reset", None, "a device is switched off and on"),
    kind("slow_boot", Some("time"), "a device is switched off and on, and its loader takes long"),
    kind("busy", Some("time"), "a device is at work and reads the bus only when it is done"),
];

impl Field {
    /// The field of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Field> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Whether rules of this kind have it.
    #[must_use]
    pub fn is_of(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

impl KindInfo {
    /// The kind of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static KindInfo> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The fields that only some kinds have, and this one is among them.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(|field| field.kinds.contains(&self.name))
    }
}

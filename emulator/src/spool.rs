//! A spool as people describe it, and the tag that such a spool has.

use k485_proto::material::{Colour, MATERIALS, MaterialCode, TagRecord};
use serde::{Deserialize, Serialize};

use crate::plant::Spool;

/// A spool: `{ material = "PLA", colour = "ff0000", length = 250000.0 }`.
///
/// Whoever gives a material, a colour, a serial number or a whole tag gets a spool with a tag;
/// otherwise it has none, and a box calls the slot `unknown`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSpec {
    /// The material: a name ([`SpoolSpec::materials`]) or the six characters of a tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    /// The colour, six hex digits, with or without `#` or the tags' leading zero.
    #[serde(alias = "color", skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// How much filament there is, in mm.
    pub length: f64,
    /// What a box takes for the rest, in percent.
    pub remain: u8,
    /// The tag's serial number, six characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// All 40 characters of the tag, in place of material, colour and serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl Default for SpoolSpec {
    /// A full 1 kg spool (about 330 m) without a tag.
    fn default() -> SpoolSpec {
        let Spool { length, remain, .. } = Spool::default();
        SpoolSpec { material: None, colour: None, length, remain, serial: None, tag: None }
    }
}

/// Why a spool cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpoolError {
    /// No such material.
    #[error("no material: {0:?}; write one of {list}, or the six characters of a tag, such as 011002",
        list = SpoolSpec::materials().collect::<Vec<_>>().join(", "))]
    Material(String),
    /// No colour.
    #[error("no colour: {0:?}; write six hex digits, such as ff8000")]
    Colour(String),
    /// A serial number that a tag cannot hold.
    #[error("no serial number of a spool: {0:?}; write six letters or digits")]
    Serial(String),
    /// A tag that is none.
    #[error(
        "no tag: {text:?} has {have} characters; write 40 printable ASCII ones, none of them ;"
    )]
    Tag {
        /// What was given.
        text: String,
        /// How many characters that are.
        have: usize,
    },
    /// A tag beside its parts.
    #[error(
        "a spool has a whole tag or a material, colour and serial number, not both; leave one out"
    )]
    Both,
    /// A length that no spool has.
    #[error("no length of filament: {0} mm; write one from 0 to 10000000 (10 km)")]
    Length(f64),
    /// A rest that is none.
    #[error("{0} % of a spool cannot be left; write 0 to 100")]
    Remain(u8),
}

impl SpoolSpec {
    /// The materials that have names.
    pub fn materials() -> impl Iterator<Item = &'static str> {
        MATERIALS.iter().map(|(name, _)| *name)
    }

    /// The spool for the plant.
    ///
    /// # Errors
    ///
    /// Something cannot be.
    pub fn spool(&self) -> Result<Spool, SpoolError> {
        if !(0.0..=10_000_000.0).contains(&self.length) {
            return Err(SpoolError::Length(self.length));
        }
        if self.remain > 100 {
            return Err(SpoolError::Remain(self.remain));
        }
        Ok(Spool { length: self.length, tag: self.tag()?, remain: self.remain })
    }

    /// The 40 characters of its tag; `None` when it has none.
    ///
    /// # Errors
    ///
    /// As [`SpoolSpec::spool`].
    pub fn tag(&self) -> Result<Option<[u8; TagRecord::LEN]>, SpoolError> {
        let parts = [&self.material, &self.colour, &self.serial];
        let in_parts = parts.iter().any(|part| part.is_some());
        if let Some(tag) = &self.tag {
            if in_parts {
                return Err(SpoolError::Both);
            }
            let printable = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b';';
            let bytes = <[u8; TagRecord::LEN]>::try_from(tag.as_bytes()).ok();
            let bytes = bytes.filter(|bytes| bytes.iter().all(printable));
            let error = || SpoolError::Tag { text: tag.clone(), have: tag.chars().count() };
            return bytes.ok_or_else(error).map(Some);
        }
        if !in_parts {
            return Ok(None);
        }
        let material = self.material.as_deref().map_or(Ok("000001"), code)?;
        let colour = self.colour.as_deref().map_or(Ok("ffffff".to_owned()), colour)?;
        let serial = self.serial.as_deref().unwrap_or("000001");
        if serial.len() != 6 || !serial.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(SpoolError::Serial(serial.to_owned()));
        }
        // Metres, as far as four digits go: the unit on real tags is not known.
        let metres = ((self.length / 1000.0).clamp(0.0, 9999.0)) as u32;
        let text = format!("10124027660{material}0{colour}{metres:04}{serial}000000");
        // The layout is as long as a tag: 1 + 2 + 2 + 4 + 2, 6, 7, 4, 6, 6.
        Ok(<[u8; TagRecord::LEN]>::try_from(text.as_bytes()).ok())
    }
}

fn code(material: &str) -> Result<&str, SpoolError> {
    let named = MATERIALS.iter().find(|(name, _)| name.eq_ignore_ascii_case(material));
    if let Some((_, code)) = named {
        return Ok(code);
    }
    let fits = material.parse::<MaterialCode>().is_ok() && !material.contains(';');
    if fits { Ok(material) } else { Err(SpoolError::Material(material.to_owned())) }
}

/// The six digits of a colour, in lower case.
fn colour(text: &str) -> Result<String, SpoolError> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let digits = if digits.len() == Colour::LEN { digits } else { &format!("0{digits}") };
    let colour: Colour = digits.parse().map_err(|_| SpoolError::Colour(text.to_owned()))?;
    let [red, green, blue] = colour.rgb();
    Ok(format!("{red:02x}{green:02x}{blue:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(spec: &SpoolSpec) -> String {
        String::from_utf8(spec.tag().unwrap().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_tag_is_made_of_material_and_colour() {
        let spec = SpoolSpec {
            material: Some("petg".into()),
            colour: Some("#FF8000".into()),
            length: 250_000.0,
            ..SpoolSpec::default()
        };
        let text = tag(&spec);
        let record = TagRecord::parse(&text).unwrap();
        assert_eq!(record.material(), "000003");
        assert_eq!(record.colour(), "0ff8000");
        assert_eq!(record.length(), "0250");
        let code = SpoolSpec { material: Some("011002".into()), ..SpoolSpec::default() };
        assert_eq!(TagRecord::parse(&tag(&code)).unwrap().material(), "011002");
        assert_eq!(SpoolSpec::default().tag(), Ok(None));
        for spelled in ["ff8000", "0ff8000", "#ff8000"] {
            assert_eq!(colour(spelled).unwrap(), "ff8000");
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        let spec = SpoolSpec::default;
        let error = |spec: SpoolSpec| spec.spool().unwrap_err();
        let material = SpoolSpec { material: Some("wood".into()), ..spec() };
        assert!(error(material).to_string().contains("PLA, SILK, PETG"));
        let colour = SpoolSpec { colour: Some("red".into()), ..spec() };
        assert_eq!(error(colour), SpoolError::Colour("red".into()));
        let short = SpoolSpec { tag: Some("abc".into()), ..spec() };
        assert_eq!(error(short), SpoolError::Tag { text: "abc".into(), have: 3 });
        let both = SpoolSpec { tag: Some("a".repeat(40)), colour: Some("ffffff".into()), ..spec() };
        assert_eq!(error(both), SpoolError::Both);
        assert!(matches!(error(SpoolSpec { length: f64::NAN, ..spec() }), SpoolError::Length(_)));
        assert_eq!(error(SpoolSpec { remain: 101, ..spec() }), SpoolError::Remain(101));
    }
}

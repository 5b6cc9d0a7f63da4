//! What whoever changes something must know.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// Bytes of chance in a token.
const CHANCE: usize = 16;
/// The shortest token that a file may hold, in characters.
const SHORTEST: usize = 16;
/// The longest one.
const LONGEST: usize = 256;

/// What URLs, headers and WebSocket protocols take as it is. All else is written as `%41`.
const PLAIN: &[u8] = b"-._~";

/// A secret word. It is compared in a time that does not tell how much of a guess was right, and is
/// not shown by accident: ask for [`Token::as_str`].
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The system gives no chance.
    #[error("the system gives no random bytes: {0}")]
    Chance(getrandom::Error),
    /// The file cannot be read or made.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("{path}: others can read or change it (mode {mode:03o}), so it keeps no secret; chmod 600 it", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What the file holds is no token.
    #[error(
        "{path}: holds no token: one line of {SHORTEST} to {LONGEST} visible ASCII characters; remove \
         it, and a new one is made",
        path = path.display()
    )]
    Content {
        /// Which.
        path: PathBuf,
    },
}

impl Token {
    /// A new one of 128 random bits, in hex.
    ///
    /// # Errors
    ///
    /// [`TokenError::Chance`].
    pub fn random() -> Result<Token, TokenError> {
        let mut bytes = [0; CHANCE];
        getrandom::fill(&mut bytes).map_err(TokenError::Chance)?;
        Ok(Token(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The one that a file holds; where there is no file, a new one, and the file is made with
    /// mode 0600.
    ///
    /// # Errors
    ///
    /// See [`TokenError`].
    pub fn of_file(path: &Path) -> Result<Token, TokenError> {
        let failed = |source| TokenError::File { path: path.to_owned(), source };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(mut file) => {
                let token = Token::random()?;
                writeln!(file, "{}", token.0).map_err(failed)?;
                Ok(token)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Token::read(path),
            Err(error) => Err(failed(error)),
        }
    }

    /// The one that a file holds.
    ///
    /// # Errors
    ///
    /// See [`TokenError`].
    pub fn read(path: &Path) -> Result<Token, TokenError> {
        let failed = |source| TokenError::File { path: path.to_owned(), source };
        // What is no file, such as a pipe, could be waited on for ever.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(TokenError::Content { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        let most = LONGEST as u64 + 2;
        let read = file.take(most).read_to_string(&mut text);
        let token = text.trim_end_matches(['\r', '\n']);
        let fits = (SHORTEST..=LONGEST).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        match read {
            Ok(_) if fits => Ok(Token(token.to_owned())),
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(failed(error)),
            _ => Err(TokenError::Content { path: path.to_owned() }),
        }
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The word percent-encoded: what it is in a URL, or wherever else not every character may be.
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a text does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }

    /// Whether this guess is it, as it is or percent-encoded. How long that takes does not depend on
    /// how much of it is right.
    #[must_use]
    pub fn is(&self, guess: &[u8]) -> bool {
        let own = self.0.as_bytes();
        (own.ct_eq(guess) | own.ct_eq(&decoded(guess))).into()
    }
}

/// What a percent-encoded text stands for; a `%` that encodes nothing stands for itself.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                // Two hex digits are a byte.
                bytes.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn tokens_are_128_bits_of_chance_and_are_not_shown() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(format!("{one:?}"), "Token(…)");
        assert!(one.is(one.as_str().as_bytes()));
        assert!(!one.is(other.as_str().as_bytes()));
        assert!(!one.is(&one.as_str().as_bytes()[1..]));
        assert!(!one.is(b""));
    }

    #[test]
    fn a_file_is_made_for_the_user_alone_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = Token::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Token::of_file(&path).unwrap().as_str(), made.as_str());
        assert_eq!(Token::read(&path).unwrap().as_str(), made.as_str());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let said = Token::of_file(&path).unwrap_err().to_string();
        assert!(said.ends_with("(mode 640), so it keeps no secret; chmod 600 it"), "{said}");
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let long = "x".repeat(300);
        for content in ["", "\n", "short", "two words, long enough", "öööööööööööööööö", &long]
        {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Token::of_file(&path).unwrap_err();
            assert!(matches!(error, TokenError::Content { .. }), "{content}: {error}");
        }
        fs::write(&path, [0xff; 32]).unwrap();
        assert!(matches!(Token::of_file(&path), Err(TokenError::Content { .. })));
        assert!(matches!(Token::of_file(folder.path()), Err(TokenError::Content { .. })));
    }

    proptest! {
        /// Every word that a file may hold is taken as it is and encoded, and no other one is.
        #[test]
        fn it_is_known_as_it_is_and_encoded(word in "[!-~]{16,64}", other in "[!-~]{16,64}") {
            let token = Token(word.clone());
            let encoded = token.encoded();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
            prop_assert!(encoded.chars().all(plain), "{encoded}");
            prop_assert!(token.is(word.as_bytes()) && token.is(encoded.as_bytes()));
            prop_assert_eq!(decoded(encoded.as_bytes()), word.as_bytes());
            prop_assert_eq!(token.is(Token(other.clone()).encoded().as_bytes()), word == other);
        }
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_itself() {
        for (text, bytes) in [("100%", "100%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%2541", "%41")]
        {
            assert_eq!(decoded(text.as_bytes()), bytes.as_bytes(), "{text}");
        }
    }
}

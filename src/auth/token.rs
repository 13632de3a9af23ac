//! The secret of a sign-in: `shs_` and 32 random bytes in base64url. The database knows only its hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const PREFIX: &str = "shs_";
const SECRET_BYTES: usize = 32;

/// A token that has the right shape. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn generate() -> Result<Self> {
        let mut secret = [0_u8; SECRET_BYTES];
        SysRng.try_fill_bytes(&mut secret).map_err(Error::internal)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))))
    }

    /// What somebody sent, if it can be a token at all.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (secret.len() == SECRET_BYTES).then(|| Self(text.to_owned()))
    }

    /// The secret itself, for the one answer that hands it out.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What the database stores. Plain SHA-256 is enough: nobody guesses 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_shape() {
        let token = Token::generate().unwrap();
        assert_eq!(token.secret().len(), 4 + 43);
        assert_eq!(Token::parse(token.secret()).unwrap().hash(), token.hash());
        for other in ["", "shs_", "shs_abc", &token.secret()[4..], &format!("{}A", token.secret())] {
            assert!(Token::parse(other).is_none(), "{other}");
        }
    }
}

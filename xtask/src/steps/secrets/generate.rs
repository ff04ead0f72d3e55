//! Makes up secret values from the kernel's random numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::config::Generator;
use engine::failure::Failure;
use secrecy::SecretString;

use crate::world::machine_key::random;

/// A new value of the kind that `generator` asks for.
///
/// # Errors
/// When the kernel gives no random numbers.
pub fn generate(generator: Generator) -> Result<SecretString, Failure> {
    let value = match generator {
        Generator::Hex(length) => bytes(length)?.iter().map(|byte| format!("{byte:02x}")).collect(),
        Generator::Base64(length) => STANDARD.encode(bytes(length)?),
        Generator::Alphanumeric(length) => alphanumeric(length)?,
        Generator::Uuid => uuid(&bytes(16)?),
    };
    Ok(SecretString::from(value))
}

fn bytes(length: u16) -> Result<Vec<u8>, Failure> {
    (0..length).map(|_| byte()).collect()
}

fn byte() -> Result<u8, Failure> {
    let [byte] = random::<1>().map_err(|error| Failure::io("read", std::path::Path::new("/dev/urandom"), &error))?;
    Ok(byte)
}

fn alphanumeric(length: u16) -> Result<String, Failure> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    while text.len() < usize::from(length) {
        // The last incomplete round of 62 would make the first letters likelier.
        let byte = usize::from(byte()?);
        if byte < 4 * LETTERS.len() {
            text.push(char::from(LETTERS[byte % LETTERS.len()]));
        }
    }
    Ok(text)
}

fn uuid(bytes: &[u8]) -> String {
    let digit = |(at, byte): (usize, &u8)| {
        let byte = match at {
            // Version 4, variant 1.
            6 => byte & 0x0f | 0x40,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        format!("{dash}{byte:02x}")
    };
    bytes.iter().enumerate().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use engine::config::Generator;
    use secrecy::ExposeSecret as _;

    use super::generate;

    #[test]
    fn values_have_the_form_that_was_asked_for_and_are_never_the_same() {
        let check = |generator: Generator, length: usize, fits: fn(char) -> bool| {
            let value = generate(generator).unwrap();
            let value = value.expose_secret();
            assert_eq!(value.len(), length, "{generator}");
            assert!(value.chars().all(fits), "{generator}");
            assert_ne!(value, generate(generator).unwrap().expose_secret());
        };
        check(Generator::Hex(32), 64, |c| c.is_ascii_hexdigit());
        check(Generator::Base64(24), 32, |c| c.is_ascii_alphanumeric() || "+/".contains(c));
        check(Generator::Alphanumeric(20), 20, |c| c.is_ascii_alphanumeric());
        check(Generator::Uuid, 36, |c| c.is_ascii_hexdigit() || c == '-');
        assert_eq!(&generate(Generator::Uuid).unwrap().expose_secret()[14..15], "4");
    }
}

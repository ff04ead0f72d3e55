//! Keeps secrets out of everything that is shown or written: output of children, errors, events.

use std::sync::RwLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// What stands in a secret's place.
const MASK: &str = "•••";

/// Shorter values are not masked: masking every `1` or `true` would hide nothing and spoil every line.
const LEAST: usize = 6;

/// Replaces each secret that it was told of, plain, base64 or URL-encoded.
#[derive(Default)]
pub struct Redactor {
    /// All forms of all secrets, longest first, so that a secret inside another leaves no rest.
    forms: RwLock<Vec<SecretString>>,
}

impl Redactor {
    /// Masks `secret` from now on.
    pub fn learn(&self, secret: &SecretString) {
        let plain = secret.expose_secret();
        if plain.len() < LEAST {
            return;
        }
        let mut forms: Vec<String> = vec![plain.to_owned(), url_encoded(plain)];
        forms.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(plain)));
        // Inside JSON and inside a quoted command, quotes and backslashes are escaped.
        forms.push(plain.replace('\\', "\\\\").replace('"', "\\\""));
        // A value of several lines is printed line by line.
        forms.extend(plain.lines().map(str::trim).filter(|line| line.len() >= LEAST).map(str::to_owned));
        let Ok(mut known) = self.forms.write() else { return };
        for form in forms {
            if !known.iter().any(|other| other.expose_secret() == form) {
                known.push(SecretString::from(form));
            }
        }
        known.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
    }

    /// `text` with every secret masked.
    pub fn redact(&self, text: &str) -> String {
        let Ok(known) = self.forms.read() else { return MASK.to_owned() };
        let mut masked = text.to_owned();
        for form in known.iter() {
            if masked.contains(form.expose_secret()) {
                masked = masked.replace(form.expose_secret(), MASK);
            }
        }
        masked
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

fn url_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use secrecy::SecretString;

    #[test]
    fn every_form_of_a_secret_is_masked() {
        let redactor = Redactor::default();
        redactor.learn(&SecretString::from("p@ss/w\"ord"));
        redactor.learn(&SecretString::from("p@ss/w\"ord and more"));
        redactor.learn(&SecretString::from("true"));
        redactor.learn(&SecretString::from("line one\nline two"));
        let rows = [
            ("x p@ss/w\"ord y", "x ••• y"),
            ("x p@ss/w\"ord and more y", "x ••• y"),
            ("cEBzcy93Im9yZA==", "•••"),
            ("cEBzcy93Im9yZA", "•••"),
            ("p%40ss%2Fw%22ord", "•••"),
            (r#"{"a":"p@ss/w\"ord"}"#, r#"{"a":"•••"}"#),
            ("it is true", "it is true"),
            ("  line two", "  •••"),
        ];
        for (text, expected) in rows {
            assert_eq!(redactor.redact(text), expected);
        }
    }
}

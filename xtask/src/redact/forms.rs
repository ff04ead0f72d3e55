//! The ways in which programs write a secret: quoted, escaped, URL-encoded, in base64. Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// So many characters of base64 in a row, six bytes of a secret, are taken for a part of it wherever they are.
pub const PIECE: usize = 8;

/// The columns after which programs begin a new line of base64: coreutils and MIME, and openssl and PEM.
const COLUMNS: [usize; 2] = [76, 64];

/// What the ways to URL-encode leave as it is, beside letters and digits.
const UNESCAPED: [&str; 5] = ["-._~", "-._~/", "-._~!'()*", "-._*", "-._~$&+,;="];

/// All forms of `plain` that stand in one piece.
pub fn whole(plain: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([plain.to_owned()]);
    forms.extend(escaped(plain));
    for unescaped in UNESCAPED {
        forms.extend(
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(lower, plus)| url_encoded(plain, unescaped, lower, plus)),
        );
    }
    forms.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(plain)));
    forms
}

/// Every [`PIECE`] characters of the base64 of `plain`, also where it is encoded as a part of something longer, so
/// that it may begin at any of three bits; and forms that are too short to have pieces.
pub fn base64_pieces(plain: &str) -> (BTreeSet<[u8; PIECE]>, Vec<String>) {
    let (mut pieces, mut short) = (BTreeSet::new(), Vec::new());
    for engine in [STANDARD, URL_SAFE] {
        let padded = engine.encode(plain);
        let inside = (0..3).map(|before| inside_of(&engine, plain, before));
        for text in std::iter::once(padded).chain(inside) {
            pieces.extend(text.as_bytes().windows(PIECE).filter_map(|piece| <[u8; PIECE]>::try_from(piece).ok()));
            if text.len() < PIECE {
                short.push(text);
            }
        }
    }
    (pieces, short)
}

/// The last lines of the base64 of `plain`, wrapped, where they are too short to have pieces.
pub fn base64_tails(plain: &str) -> BTreeSet<String> {
    let encoded = STANDARD.encode(plain);
    let tails = COLUMNS.into_iter().filter(|column| encoded.len() > *column).map(|column| {
        let start = (encoded.len() - 1) / column * column;
        encoded[start..].to_owned()
    });
    tails.filter(|tail| tail.len() < PIECE).collect()
}

/// Those characters of the base64 of something with `before` bytes (up to full threes) in front of `plain` that say
/// nothing of what is around it.
fn inside_of(engine: &GeneralPurpose, plain: &str, before: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(plain.bytes()).collect();
    let encoded = engine.encode(&bytes);
    encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

/// Inside JSON as several libraries write it, inside quoted words of a shell and of YAML.
fn escaped(plain: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(plain).to_string();
    let json = quoted[1..quoted.len() - 1].to_owned();
    // Go's library expects its JSON inside HTML.
    let go = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    // Python's and PHP's expect their readers to know nothing but ASCII, or their JSON inside a script.
    let ascii: String = json.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16(c) }).collect();
    let slashes = json.replace('/', "\\/");
    let backslashes = |quoted: &dyn Fn(char) -> bool| {
        plain.chars().flat_map(|c| quoted(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    vec![
        json,
        go,
        ascii,
        slashes,
        backslashes(&|c| matches!(c, '\\' | '"')),
        backslashes(&|c| matches!(c, '\\' | '"' | '$' | '`')),
        backslashes(&|c| matches!(c, '\\' | '\'')),
        // As bash's `printf %q` does.
        backslashes(&|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=%+@~#".contains(c)),
        plain.replace('\'', r"'\''"),
        plain.replace('\'', r#"'"'"'"#),
        plain.replace('\'', "''"),
    ]
}

fn utf16(c: char) -> String {
    let mut units = [0; 2];
    c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn url_encoded(text: &str, unescaped: &str, lower: bool, plus: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' if plus => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || unescaped.as_bytes().contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte if lower => encoded.push_str(&format!("%{byte:02x}")),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

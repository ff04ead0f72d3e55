//! Keeps secrets out of everything that is shown or written: output of children, errors, events.

mod forms;

use std::collections::BTreeSet;
use std::sync::RwLock;

use secrecy::{ExposeSecret, SecretBox, SecretString};

use forms::PIECE;

/// What stands in a secret's place.
const MASK: &str = "•••";

/// Shorter values are not masked: masking every `1` or `true` would hide nothing and spoil every line.
const LEAST: usize = 6;

/// Replaces each secret that it was told of, in every form in which programs write it.
#[derive(Default)]
pub struct Redactor {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    secrets: Vec<SecretString>,
    /// Made of the secrets when there is something to mask: most runs have nothing.
    masks: Option<Masks>,
}

impl Redactor {
    /// Masks `secret` from now on.
    pub fn learn(&self, secret: &SecretString) {
        let Ok(mut known) = self.known.write() else { return };
        let plain = secret.expose_secret();
        if plain.len() >= LEAST && !known.secrets.iter().any(|other| other.expose_secret() == plain) {
            known.secrets.push(secret.clone());
            known.masks = None;
        }
    }

    /// `text` with every secret masked.
    pub fn redact(&self, text: &str) -> String {
        if let Ok(known) = self.known.read() {
            if known.secrets.is_empty() {
                return text.to_owned();
            }
            if let Some(masks) = &known.masks {
                return masks.redact(text);
            }
        }
        let Ok(mut known) = self.known.write() else { return MASK.to_owned() };
        let Known { secrets, masks } = &mut *known;
        masks.get_or_insert_with(|| Masks::of(secrets)).redact(text)
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// All forms of all secrets.
struct Masks {
    /// Longest first, so that a secret inside another leaves no rest.
    whole: Vec<SecretString>,
    /// Parts of base64, in order, so that lines of it are masked wherever it was wrapped.
    pieces: SecretBox<Vec<[u8; PIECE]>>,
    /// The last lines of wrapped base64, masked where nothing else is in the line.
    tails: Vec<SecretString>,
}

impl Masks {
    fn of(secrets: &[SecretString]) -> Self {
        let (mut whole, mut pieces, mut tails) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for secret in secrets {
            let plain = secret.expose_secret();
            whole.extend(forms::whole(plain));
            let (of_this, short) = forms::base64_pieces(plain);
            pieces.extend(of_this);
            whole.extend(short);
            tails.extend(forms::base64_tails(plain));
            // A value of several lines is printed line by line.
            for line in plain.lines().map(str::trim).filter(|line| line.len() >= LEAST) {
                whole.extend(forms::whole(line));
            }
        }
        let mut whole: Vec<SecretString> = whole.into_iter().map(SecretString::from).collect();
        whole.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        let pieces = SecretBox::new(Box::new(pieces.into_iter().collect()));
        Self { whole, pieces, tails: tails.into_iter().map(SecretString::from).collect() }
    }

    fn redact(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for form in &self.whole {
            if masked.contains(form.expose_secret()) {
                masked = masked.replace(form.expose_secret(), MASK);
            }
        }
        masked.split_inclusive('\n').map(|line| self.without_base64(line)).collect()
    }

    /// One line without parts of base64.
    fn without_base64(&self, line: &str) -> String {
        let words = line.trim();
        if self.tails.iter().any(|tail| tail.expose_secret() == words) {
            return line.replace(words, MASK);
        }
        let pieces = self.pieces.expose_secret();
        let bytes = line.as_bytes();
        let is_piece = |start: usize| {
            let piece = bytes.get(start..start + PIECE).and_then(|piece| <[u8; PIECE]>::try_from(piece).ok());
            piece.is_some_and(|piece| pieces.binary_search(&piece).is_ok())
        };
        let (mut masked, mut done, mut at) = (String::new(), 0, 0);
        while at < bytes.len() {
            if !is_piece(at) {
                at += 1;
                continue;
            }
            // Pieces overlap: to the end of the last one that begins inside the one before it.
            let mut end = at + PIECE;
            let mut next = at + 1;
            while next <= end {
                if is_piece(next) {
                    end = next + PIECE;
                }
                next += 1;
            }
            // Pieces are ASCII, so both ends are between characters.
            masked.push_str(&line[done..at]);
            masked.push_str(MASK);
            (done, at) = (end, end);
        }
        masked.push_str(&line[done..]);
        masked
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use secrecy::SecretString;

    use super::Redactor;

    #[test]
    fn every_form_of_a_secret_is_masked() {
        let redactor = Redactor::default();
        redactor.learn(&SecretString::from("p@ss/w\"ord"));
        redactor.learn(&SecretString::from("p@ss/w\"ord and more"));
        redactor.learn(&SecretString::from("true"));
        redactor.learn(&SecretString::from("line one\nline two"));
        redactor.learn(&SecretString::from("it's <ü> & $x\\y"));
        let rows = [
            ("x p@ss/w\"ord y", "x ••• y"),
            ("x p@ss/w\"ord and more y", "x ••• y"),
            ("cEBzcy93Im9yZA==", "•••"),
            ("cEBzcy93Im9yZA", "•••"),
            ("p%40ss%2Fw%22ord", "•••"),
            ("p%40ss%2fw%22ord", "•••"),
            ("p%40ss/w%22ord", "•••"),
            ("a=p%40ss%2Fw%22ord+and+more&b", "a=•••&b"),
            ("a=p%40ss%2Fw%22ord%20and%20more&b", "a=•••&b"),
            (r#"{"a":"p@ss/w\"ord"}"#, r#"{"a":"•••"}"#),
            (r#"{"a":"p@ss\/w\"ord"}"#, r#"{"a":"•••"}"#),
            (r#"{"a":"line one\nline two"}"#, r#"{"a":"•••"}"#),
            (r#"{"a":"it's <ü> & $x\\y"}"#, r#"{"a":"•••"}"#),
            (r#"{"a":"it's \u003cü\u003e \u0026 $x\\y"}"#, r#"{"a":"•••"}"#),
            (r#"{"a":"it's <\u00fc> & $x\\y"}"#, r#"{"a":"•••"}"#),
            (r#"echo "it's <ü> & \$x\\y""#, r#"echo "•••""#),
            (r"echo 'it'\''s <ü> & $x\y'", "echo '•••'"),
            (r"a: 'it''s <ü> & $x\y'", "a: '•••'"),
            ("it is true", "it is true"),
            ("  line two", "  •••"),
        ];
        for (text, expected) in rows {
            assert_eq!(redactor.redact(text), expected);
        }
    }

    #[test]
    fn a_line_of_wrapped_base64_is_masked_wherever_the_lines_end() {
        let hex = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDE?";
        let random = "k>~9?Zq\u{e9}x/W+2m|V}dT@7bLs#e5Rj!uYc0^NpFo&Ki*Ha%Gw(Q)1_=-gB3:X;M,<t4S6vC8fAhJlDnEzOPrIU";
        for secret in [hex, &hex[..58], &hex[..60], &hex[..49], random] {
            let redactor = Redactor::default();
            redactor.learn(&SecretString::from(secret));
            // Alone, and inside something longer, where it begins at any of three bits.
            for before in ["", "A", "PASSWORD=", "url: postgresql://todo:"] {
                for (engine, columns) in [(STANDARD, 76), (STANDARD, 64), (URL_SAFE, 76), (STANDARD, 60)] {
                    let after = if before.is_empty() { "" } else { "@postgres:5432/todo\n" };
                    let encoded = engine.encode(format!("{before}{secret}{after}"));
                    let wrapped: Vec<&str> =
                        encoded.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
                    for line in wrapped {
                        assert_tells_nothing(&redactor.redact(line), secret, before);
                    }
                    assert_tells_nothing(&redactor.redact(&encoded), secret, before);
                }
            }
        }
    }

    /// No six bytes of `secret` are left in `line`, which is base64 of something with `before` in front.
    #[track_caller]
    fn assert_tells_nothing(line: &str, secret: &str, before: &str) {
        let all = format!("{before}{secret}");
        for shown in line.split("•••") {
            for skipped in 0..4 {
                let part = shown.get(skipped..).unwrap_or_default();
                let part = &part[..part.len() / 4 * 4];
                for engine in [STANDARD, URL_SAFE] {
                    let bytes = engine.decode(part).unwrap_or_default();
                    let leaked = bytes.windows(6).find(|six| secret.as_bytes().windows(6).any(|other| other == *six));
                    assert_eq!(leaked, None, "{shown} tells of {all}");
                }
            }
        }
    }

    #[test]
    fn the_short_last_line_of_wrapped_base64_is_masked_where_it_stands_alone() {
        let redactor = Redactor::default();
        // 80 characters of base64: 76 and four.
        redactor.learn(&SecretString::from("0123456789abcdef0123456789abcdef0123456789abcdef0123456789"));
        let check = |text: &str, expected: &str| assert_eq!(redactor.redact(text), expected);
        let encoded = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4\nOQ==\n";
        check(encoded, "•••\n•••\n");
        check("  OQ==", "  •••");
        check("OQ== is nine", "OQ== is nine");
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let redactor = Redactor::default();
        let check = |text: &str| assert_eq!(redactor.redact(text), text);
        check("nothing is known yet: 0123456789abcdef");
        redactor.learn(&SecretString::from("a-very-long-password-of-somebody"));
        check("");
        check("dG9kby1jaGF0Ym90IGlzIG5vIHNlY3JldCBhdCBhbGw=");
        check("sha256:3f9c1a77b2d00123456789abcdef ✓ todo-backend-7c9\n\n  é…\n");
    }
}

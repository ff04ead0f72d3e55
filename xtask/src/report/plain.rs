//! What other programs have said, as text that a terminal only shows: they may have meant it for a terminal of their own,
//! and move the cursor, clear the screen or change its colours.

use std::borrow::Cow;

/// A line without what is no text. Of what a carriage return has overwritten, the last is left.
pub fn plain(line: &str) -> Cow<'_, str> {
    if !line.contains(char::is_control) {
        return Cow::Borrowed(line);
    }
    let text = anstream::adapter::strip_str(line).to_string();
    let last = text.trim_end().rsplit('\r').next().unwrap_or_default();
    let shown = last.chars().filter_map(|character| match character {
        '\t' | '\n' => Some(' '),
        character => (!character.is_control()).then_some(character),
    });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for (line, expected) in [
            ("RUN make", "RUN make"),
            ("größe 漢字", "größe 漢字"),
            ("\u{1b}[31mred\u{1b}[0m and \u{1b}[2Jcleared\u{1b}[10;10H", "red and cleared"),
            ("\u{1b}]0;a title\u{7}text", "text"),
            ("10 %\r20 %\r100 %\r", "100 %"),
            ("a\tb\nc\r\n", "a b c"),
            ("bell\u{7}, back\u{8}, c1 \u{9b}31m", "bell, back, c1 31m"),
            ("", ""),
        ] {
            assert_eq!(plain(line), expected, "{line:?}");
        }
    }
}

//! A failure as people read it: what did not work, why, the lines that show it, what to do next.

use engine::failure::Failure;

use super::plain::plain;
use super::style::{BAD, FAINT, HELP, paint};

/// The failure in lines, with styles; the caller's stream decides whether they are shown.
pub fn render(failure: &Failure) -> String {
    let mut text = format!("{}{} {}\n", paint(BAD, "error"), paint(anstyle::Style::new().bold(), ":"), failure.message);
    for cause in &failure.causes {
        let mut lines = cause.trim_end().lines();
        text.push_str(&format!("  {} {}\n", paint(FAINT, "because"), plain(lines.next().unwrap_or_default())));
        lines.for_each(|line| text.push_str(&format!("          {}\n", plain(line))));
    }
    for excerpt in &failure.excerpts {
        for (number, line) in excerpt.lines.iter().enumerate() {
            let edge = if number == 0 { "┌" } else { "│" };
            text.push_str(&format!("  {} {}\n", paint(FAINT, edge), plain(line)));
        }
        text.push_str(&format!("  {} {}\n", paint(FAINT, "└"), excerpt.origin));
    }
    for help in &failure.help {
        text.push_str(&format!("{} {help}\n", paint(HELP, "help:")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::render;
    use engine::failure::Failure;

    #[test]
    fn everything_a_person_needs_is_there_in_order() {
        let failure = Failure::step("image:frontend did not build")
            .because("RUN pnpm build ended with exit code 1")
            .excerpt("frontend/Dockerfile:18", vec!["pnpm build\r".into(), "\u{1b}[2JType\terror".into()])
            .help("the whole log is in .xtask/runs/41/image-frontend.log");
        let plain = anstream::adapter::strip_str(&render(&failure)).to_string();
        let expected = "\
error: image:frontend did not build
  because RUN pnpm build ended with exit code 1
  ┌ pnpm build
  │ Type error
  └ frontend/Dockerfile:18
help: the whole log is in .xtask/runs/41/image-frontend.log
";
        assert_eq!(plain, expected);
    }
}

//! A question to the person at the terminal, which only yes answers with yes.

use std::io::Write as _;

use engine::failure::Failure;
use tokio_util::sync::CancellationToken;

/// Shows `question` and waits for its answer.
///
/// # Errors
/// When nothing can be shown, or the run is interrupted meanwhile.
pub async fn yes(question: &str, cancel: &CancellationToken) -> Result<bool, Failure> {
    let asked = anstream::stderr().write_all(question.as_bytes()).and_then(|()| anstream::stderr().flush());
    asked.map_err(|error| Failure::environment("could not ask on this terminal").because(error))?;
    let answer = tokio::select! {
        answer = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()) => answer,
        () = cancel.cancelled() => return Err(Failure::interrupted()),
    };
    Ok(is_yes(&answer.ok().flatten().and_then(Result::ok).unwrap_or_default()))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in
            [("y", true), ("Yes", true), (" y ", true), ("", false), ("n", false), ("yep", false), ("ja", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer}");
        }
    }
}

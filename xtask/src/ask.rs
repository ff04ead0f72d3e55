//! A question to the person at the terminal, which only yes answers with yes.

use std::io::Write as _;

use engine::failure::Failure;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Who answers questions, and how they are reached.
#[derive(Debug, Clone, Default)]
pub enum Person {
    /// Nobody is there.
    #[default]
    Nobody,
    /// Somebody at a terminal, who types lines.
    AtTerminal,
    /// Somebody at a terminal whose keys are read one by one already. Who reads them gets the questions: two readers
    /// of one terminal would take each other's answers.
    AtKeys(mpsc::UnboundedSender<Question>),
}

/// A question that waits for its answer. Dropped, it was not answered with yes.
#[derive(Debug)]
pub struct Question {
    text: String,
    answer: oneshot::Sender<bool>,
}

impl Question {
    /// As it is shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Answers it.
    pub fn answer(self, yes: bool) {
        // Who asked may have been cancelled meanwhile.
        let _ = self.answer.send(yes);
    }
}

impl Person {
    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// Shows `question` and waits for its answer.
    ///
    /// # Errors
    /// When nothing can be shown, or the run is interrupted meanwhile.
    pub async fn says_yes(&self, question: &str, cancel: &CancellationToken) -> Result<bool, Failure> {
        let answer = async {
            match self {
                Self::Nobody => Ok(false),
                Self::AtTerminal => typed(question).await,
                Self::AtKeys(reader) => Ok(handed_on(question, reader).await),
            }
        };
        tokio::select! {
            answer = answer => answer,
            () = cancel.cancelled() => Err(Failure::interrupted()),
        }
    }
}

async fn typed(question: &str) -> Result<bool, Failure> {
    let asked = anstream::stderr().write_all(question.as_bytes()).and_then(|()| anstream::stderr().flush());
    asked.map_err(|error| Failure::environment("could not ask on this terminal").because(error))?;
    let answer = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await;
    Ok(is_yes(&answer.ok().flatten().and_then(Result::ok).unwrap_or_default()))
}

async fn handed_on(question: &str, reader: &mpsc::UnboundedSender<Question>) -> bool {
    let (answer, answered) = oneshot::channel();
    // Where nobody reads keys any more, the question is dropped, and with it its answer.
    let _ = reader.send(Question { text: question.to_owned(), answer });
    answered.await.unwrap_or(false)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use engine::failure::Class;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::{Person, is_yes};

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in
            [("y", true), ("Yes", true), (" y ", true), ("", false), ("n", false), ("yep", false), ("ja", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn who_reads_the_keys_answers_and_nobody_and_who_has_left_does_not_say_yes() {
        let cancel = CancellationToken::new();
        let (reader, mut questions) = mpsc::unbounded_channel();
        let person = Person::AtKeys(reader);
        for expected in [true, false] {
            let (said, ()) = tokio::join!(person.says_yes("really?", &cancel), async {
                let question = questions.recv().await.unwrap();
                assert_eq!(question.text(), "really?");
                question.answer(expected);
            });
            assert_eq!(said, Ok(expected));
        }
        drop(questions);
        assert_eq!(person.says_yes("still there?", &cancel).await, Ok(false));
        assert_eq!(Person::Nobody.says_yes("anybody?", &cancel).await, Ok(false));
    }

    #[tokio::test]
    async fn a_question_ends_with_the_run_that_asked_it() {
        let cancel = CancellationToken::new();
        let (reader, _questions) = mpsc::unbounded_channel();
        cancel.cancel();
        let said = Person::AtKeys(reader).says_yes("really?", &cancel).await;
        assert_eq!(said.map_err(|failure| failure.class), Err(Class::Interrupted));
    }
}

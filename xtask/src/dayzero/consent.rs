//! Whether this machine may be changed: installed on, configured, have a service started.

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;

use crate::ask;
use crate::context::Context;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// It was said beforehand, or there is nobody to ask and this user may do it anyway.
    Go,
    /// There is a person.
    Ask,
    /// This user may not.
    Cannot,
}

fn decide(root: bool, yes: bool, interactive: bool) -> Decision {
    match (root, yes, interactive) {
        (false, ..) => Decision::Cannot,
        (true, false, true) => Decision::Ask,
        (true, ..) => Decision::Go,
    }
}

/// Leave to do `what`, of which `commands` is what a person would type for it.
///
/// # Errors
/// When this user is not root, with the commands; or the person at the terminal does not say yes.
pub(super) async fn obtain(cx: &Context, what: &str, commands: &[String]) -> Result<(), Failure> {
    let refused = |failure: Failure| commands.iter().fold(failure, |failure, command| failure.help(command.clone()));
    let root = rustix::process::geteuid().is_root();
    match decide(root, cx.may_change_machine, cx.interactive) {
        Decision::Go => {
            cx.note(&StepId::cluster(), Level::Info, format!("going to {what}"));
            Ok(())
        }
        Decision::Cannot => Err(refused(
            Failure::environment(format!("somebody has to {what}")).because("only root may, and this user is not root"),
        )),
        Decision::Ask => {
            let list = commands.iter().map(|command| format!("  {command}\n")).collect::<String>();
            let question = format!("This would {what}:\n{list}Do it? [y/N] ");
            if ask::yes(&question, &cx.cancel).await? {
                return Ok(());
            }
            Err(refused(Failure::environment(format!("it was not allowed to {what}")).because("nothing was changed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide};

    #[test]
    fn only_a_person_at_a_terminal_is_asked_and_only_root_goes_on() {
        let rows = [
            ((true, false, true), Decision::Ask),
            ((true, true, true), Decision::Go),
            ((true, false, false), Decision::Go),
            ((false, true, true), Decision::Cannot),
            ((false, false, false), Decision::Cannot),
        ];
        for ((root, yes, interactive), expected) in rows {
            assert_eq!(decide(root, yes, interactive), expected, "{root} {yes} {interactive}");
        }
    }
}

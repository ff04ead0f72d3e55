//! Whether this machine may be changed: installed on, configured, have a service started.

use std::ffi::OsStr;

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;

use crate::ask;
use crate::context::Context;
use crate::world::process::{self, Command, Exit};

/// Who can do what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A single command: whoever may use sudo without a password, too.
    Sudo,
    /// More than that, and whoever is not root would gain nothing by it in this session.
    Root,
}

/// Leave that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// This process may do it itself.
    Root,
    /// By sudo.
    Sudo,
}

impl Leave {
    /// `program` as the user who may do it.
    pub(super) fn command(self, program: &str) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => Command::new("sudo").args(["--non-interactive", program]),
        }
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// It was said beforehand, or there is nobody to ask and this user may do it anyway.
    Go(Leave),
    /// There is a person.
    Ask(Leave),
    /// This user could, but nobody has said so and there is nobody to ask.
    Untold,
    /// This user may not.
    Cannot,
}

/// `leave` is what this user can have; `told` whether it was said beforehand.
fn decide(leave: Option<Leave>, told: bool, interactive: bool) -> Decision {
    match (leave, told, interactive) {
        (None, ..) => Decision::Cannot,
        (Some(leave), true, _) => Decision::Go(leave),
        (Some(leave), _, true) => Decision::Ask(leave),
        // Root without a terminal is a script of somebody who runs everything as root. A user's script is none.
        (Some(Leave::Root), ..) => Decision::Go(Leave::Root),
        (Some(Leave::Sudo), ..) => Decision::Untold,
    }
}

/// What this user can have, without anybody being asked for a password.
async fn attainable(cx: &Context, by: By) -> Result<Option<Leave>, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(Some(Leave::Root));
    }
    if by == By::Root || process::resolve(OsStr::new("sudo"), None).is_none() {
        return Ok(None);
    }
    let finished = Leave::Sudo.command("true").run(&cx.cancel, |_, _| {}).await?;
    Ok((finished.exit == Exit::Code(0)).then_some(Leave::Sudo))
}

/// Leave to do `what`, of which `commands` is what a person would type for it.
///
/// # Errors
/// When this user may not, with the commands; or the person at the terminal does not say yes.
pub(super) async fn obtain(cx: &Context, what: &str, commands: &[String], by: By) -> Result<Leave, Failure> {
    let refused = |failure: Failure| commands.iter().fold(failure, |failure, command| failure.help(command.clone()));
    let somebody = || Failure::environment(format!("somebody has to {what}"));
    match decide(attainable(cx, by).await?, cx.may_change_machine, cx.interactive) {
        Decision::Go(leave) => {
            cx.note(&StepId::cluster(), Level::Info, format!("going to {what}"));
            Ok(leave)
        }
        Decision::Untold => {
            let cause = "this user may by sudo, but there is nobody to ask and --yes was not said";
            Err(refused(somebody().because(cause)))
        }
        Decision::Cannot => Err(refused(somebody().because("only root may, and this user is not root"))),
        Decision::Ask(leave) => {
            let list = commands.iter().map(|command| format!("  {command}\n")).collect::<String>();
            let question = format!("This would {what}:\n{list}Do it? [y/N] ");
            if ask::yes(&question, &cx.cancel).await? {
                return Ok(leave);
            }
            Err(refused(Failure::environment(format!("it was not allowed to {what}")).because("nothing was changed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Leave, decide};

    #[test]
    fn only_a_person_at_a_terminal_is_asked_and_only_who_may_goes_on() {
        use Decision::{Ask, Cannot, Go, Untold};
        let rows = [
            ((Some(Leave::Root), false, true), Ask(Leave::Root)),
            ((Some(Leave::Root), true, true), Go(Leave::Root)),
            ((Some(Leave::Root), false, false), Go(Leave::Root)),
            ((Some(Leave::Sudo), false, true), Ask(Leave::Sudo)),
            ((Some(Leave::Sudo), true, false), Go(Leave::Sudo)),
            ((Some(Leave::Sudo), false, false), Untold),
            ((None, true, true), Cannot),
            ((None, false, false), Cannot),
        ];
        for ((leave, told, interactive), expected) in rows {
            assert_eq!(decide(leave, told, interactive), expected, "{leave:?} {told} {interactive}");
        }
    }

    #[test]
    fn sudo_never_asks_for_a_password() {
        assert_eq!(Leave::Sudo.command("apt-get").arg("update").line(), "sudo --non-interactive apt-get update");
        assert_eq!(Leave::Root.command("apt-get").line(), "apt-get");
    }
}

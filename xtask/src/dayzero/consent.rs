//! Whether this machine may be changed: installed on, configured, have a service started.

use std::env;
use std::ffi::OsStr;
use std::io::{IsTerminal as _, stdin};

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::world::process::{self, Command, Exit};

/// The variable by which a pipeline hands on to its commands what was said to it: `yes`, or `no` where somebody who sits
/// at a terminal has not said it. Standard input tells them nothing of either.
const HANDED_ON: &str = "XTASK_LEAVE";

/// What the pipeline that this run is a command of was told; `None` outside of one, and where nobody sits at a terminal.
pub fn handed_on() -> Option<bool> {
    match env::var(HANDED_ON).as_deref() {
        Ok("yes") => Some(true),
        Ok("no") => Some(false),
        _ => None,
    }
}

/// `command` of a pipeline that was `told` that this machine may be changed, or was not.
pub fn hand_on(command: Command, told: bool) -> Command {
    match (told, audience(false)) {
        (true, _) => command.env(HANDED_ON, "yes"),
        (false, Audience::Unasked) => command.env(HANDED_ON, "no"),
        (false, _) => command,
    }
}

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
        let mut words = self.words().iter().copied().chain([program]);
        Command::new(words.next().unwrap_or_default()).args(words)
    }

    /// What stands before a program.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            Self::Sudo => &["sudo", "--non-interactive"],
        }
    }
}

/// Who could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Somebody at a terminal.
    Person,
    /// Somebody sits at a terminal, and this run asks nothing.
    Unasked,
    /// This is a script's.
    Nobody,
}

/// `interactive` is whether this run asks questions.
fn audience(interactive: bool) -> Audience {
    match interactive {
        true => Audience::Person,
        false if stdin().is_terminal() || handed_on() == Some(false) => Audience::Unasked,
        false => Audience::Nobody,
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
fn decide(leave: Option<Leave>, told: bool, audience: Audience) -> Decision {
    match (leave, told, audience) {
        (None, ..) => Decision::Cannot,
        (Some(leave), true, _) => Decision::Go(leave),
        (Some(leave), _, Audience::Person) => Decision::Ask(leave),
        // Root without a terminal is a script of somebody who runs everything as root. A user's script is none.
        (Some(Leave::Root), _, Audience::Nobody) => Decision::Go(Leave::Root),
        _ => Decision::Untold,
    }
}

/// What this user can have, without anybody being asked for a password.
pub(super) async fn attainable(cancel: &CancellationToken, by: By) -> Result<Option<Leave>, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(Some(Leave::Root));
    }
    if by == By::Root || process::resolve(OsStr::new("sudo"), None).is_none() {
        return Ok(None);
    }
    let finished = Leave::Sudo.command("true").run(cancel, |_, _| {}).await?;
    Ok((finished.exit == Exit::Code(0)).then_some(Leave::Sudo))
}

/// Leave to do `what`, of which `commands` is what a person would type for it.
///
/// # Errors
/// When this user may not, with the commands; or the person at the terminal does not say yes.
pub(super) async fn obtain(cx: &Context, what: &str, commands: &[String], by: By) -> Result<Leave, Failure> {
    let refused = |failure: Failure| commands.iter().fold(failure, |failure, command| failure.help(command.clone()));
    let somebody = || Failure::environment(format!("somebody has to {what}"));
    match decide(attainable(&cx.cancel, by).await?, cx.may_change_machine, audience(cx.person.is_there())) {
        Decision::Go(leave) => {
            cx.note(&StepId::cluster(), Level::Info, format!("going to {what}"));
            Ok(leave)
        }
        Decision::Untold => {
            let cause = "this user may, but nobody is asked here and --yes was not said";
            Err(refused(somebody().because(cause)).help("or run the same command with --yes, and it is done"))
        }
        Decision::Cannot => Err(refused(somebody().because("only root may, and this user is not root"))),
        Decision::Ask(leave) => {
            let list = commands.iter().map(|command| format!("  {command}\n")).collect::<String>();
            let question = format!("This would {what}:\n{list}Do it? [y/N] ");
            if cx.person.says_yes(&question, &cx.cancel).await? {
                return Ok(leave);
            }
            Err(refused(Failure::environment(format!("it was not allowed to {what}")).because("nothing was changed")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Audience, Decision, Leave, decide};

    #[test]
    fn only_a_person_at_a_terminal_is_asked_and_only_who_may_goes_on() {
        use Audience::{Nobody, Person, Unasked};
        use Decision::{Ask, Cannot, Go, Untold};
        let rows = [
            ((Some(Leave::Root), false, Person), Ask(Leave::Root)),
            ((Some(Leave::Root), true, Person), Go(Leave::Root)),
            ((Some(Leave::Root), false, Nobody), Go(Leave::Root)),
            // A pipeline that root has begun at a terminal.
            ((Some(Leave::Root), false, Unasked), Untold),
            ((Some(Leave::Root), true, Unasked), Go(Leave::Root)),
            ((Some(Leave::Sudo), false, Person), Ask(Leave::Sudo)),
            ((Some(Leave::Sudo), true, Nobody), Go(Leave::Sudo)),
            ((Some(Leave::Sudo), false, Nobody), Untold),
            ((Some(Leave::Sudo), false, Unasked), Untold),
            ((None, true, Person), Cannot),
            ((None, false, Nobody), Cannot),
        ];
        for ((leave, told, audience), expected) in rows {
            assert_eq!(decide(leave, told, audience), expected, "{leave:?} {told} {audience:?}");
        }
    }

    #[test]
    fn sudo_never_asks_for_a_password() {
        assert_eq!(Leave::Sudo.command("apt-get").arg("update").line(), "sudo --non-interactive apt-get update");
        assert_eq!(Leave::Root.command("apt-get").line(), "apt-get");
    }
}

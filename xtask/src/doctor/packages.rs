//! The system's packages without which nothing is got: whether any is missing, and what a deploy would do about it.

use engine::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::Finding;
use super::foreseen::Foreseen;
use crate::dayzero::packages::{self, Need};

/// Where programs are looked for.
const SOURCE: &str = "PATH and the system's folders";

pub(super) async fn look(foreseen: &Foreseen, cancel: &CancellationToken) -> Result<Finding, Failure> {
    let missing = foreseen.needs.missing_packages();
    let installs = missing.is_empty() || packages::can_be_installed(cancel).await?;
    Ok(judge(&missing, installs, packages::by_hand(&missing)))
}

fn judge(missing: &[Need], installs: bool, by_hand: String) -> Finding {
    let names: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let names = names.join(", ");
    match installs {
        _ if missing.is_empty() => Finding::good("packages", "none is missing that a deploy needs", SOURCE),
        true => Finding::note("packages", format!("no {names}; a deploy that is let installs that"), SOURCE)
            .mend("cargo xtask deploy --yes"),
        false => {
            let found = format!("no {names}, without which a deploy gets nothing, and it cannot install that here");
            Finding::short("packages", found, SOURCE).mend(by_hand)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn a_package_is_short_only_where_a_deploy_cannot_install_it() {
        let missing = [("curl", "curl"), ("pip3", "python3-pip")];
        let rows = [
            (&missing[..0], false, Standing::Good, None),
            (&missing[..], true, Standing::Note, Some("cargo xtask deploy --yes")),
            (&missing[..], false, Standing::Short, Some("apt")),
        ];
        for (missing, installs, standing, mend) in rows {
            let finding = judge(missing, installs, "apt".to_owned());
            assert_eq!((finding.standing, finding.mend.as_deref()), (standing, mend), "{missing:?} {installs}");
        }
        assert!(judge(&missing, false, String::new()).found.starts_with("no curl, python3-pip,"));
    }
}

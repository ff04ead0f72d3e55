//! What becomes of an object of a release when the release is taken away: by its kind, by who made it and by whether
//! the chart asks that it stays. Nothing is asked of the cluster here, so what is beside an object does not count.

use crate::world::kube::definitions;

/// Who made an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Helm, from the release's manifest; helm removes it with the release.
    Manifest,
    /// Helm at a certain moment, to forget it at once: helm never removes it.
    Hook,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes.
    Goes,
    /// It holds data, or may open what does: it goes only when data is to go.
    Data,
    /// It stays, whatever is to go: others may have things of theirs in it by now.
    Stays,
}

/// The fate of an object of `kind`; `kept`: the chart asks that it stays when the release goes.
pub fn of(kind: &str, namespaced: bool, maker: Maker, kept: bool) -> Fate {
    match kind {
        "PersistentVolumeClaim" | "PersistentVolume" => Fate::Data,
        // Every object of its kind would go with it, whoever made them.
        definitions::KIND if kept || maker == Maker::Hook => Fate::Stays,
        _ if kept && namespaced => Fate::Data,
        _ if kept => Fate::Stays,
        _ => Fate::Goes,
    }
}

#[cfg(test)]
mod tests {
    use super::Fate::{Data, Goes, Stays};
    use super::Maker::{Hook, Manifest};
    use super::of;

    #[test]
    fn data_goes_only_with_data_and_what_others_may_use_never() {
        for (kind, namespaced, maker, kept, expected) in [
            ("Deployment", true, Manifest, false, Goes),
            ("Secret", true, Manifest, false, Goes),
            ("Secret", true, Manifest, true, Data),
            ("Secret", true, Hook, false, Goes),
            ("Secret", true, Hook, true, Data),
            ("PersistentVolumeClaim", true, Manifest, false, Data),
            ("PersistentVolumeClaim", true, Hook, false, Data),
            ("PersistentVolumeClaim", true, Hook, true, Data),
            ("PersistentVolume", false, Manifest, false, Data),
            ("PersistentVolume", false, Hook, true, Data),
            ("Job", true, Hook, false, Goes),
            ("ConfigMap", true, Hook, false, Goes),
            ("ConfigMap", true, Hook, true, Data),
            ("ConfigMap", true, Manifest, true, Data),
            ("Widget", true, Manifest, true, Data),
            ("Namespace", false, Manifest, false, Goes),
            ("Namespace", false, Hook, false, Goes),
            ("Namespace", false, Manifest, true, Stays),
            ("ClusterRole", false, Hook, false, Goes),
            ("ClusterRole", false, Manifest, true, Stays),
            ("CustomResourceDefinition", false, Manifest, false, Goes),
            ("CustomResourceDefinition", false, Manifest, true, Stays),
            ("CustomResourceDefinition", false, Hook, false, Stays),
        ] {
            assert_eq!(of(kind, namespaced, maker, kept), expected, "{kind} of {maker:?}, kept: {kept}");
        }
    }
}

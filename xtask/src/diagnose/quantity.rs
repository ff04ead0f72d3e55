//! Kubernetes' quantities (`200m`, `4Gi`, `1.5`), for sums that people read.

/// A quantity in thousandths; one that cannot be read counts as nothing.
pub fn milli(text: &str) -> i128 {
    const UNITS: [(&str, i128); 14] = [
        ("Ki", 1000 << 10),
        ("Mi", 1000 << 20),
        ("Gi", 1000 << 30),
        ("Ti", 1000 << 40),
        ("Pi", 1000 << 50),
        ("Ei", 1000 << 60),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("P", 1_000_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000_000),
        ("", 1000),
    ];
    let unit = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix));
    let Some((suffix, factor)) = unit else { return 0 };
    let number = text.trim_end_matches(suffix);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).unwrap_or_default();
    let all: i128 = format!("{whole}{fraction}").parse().unwrap_or_default();
    all * factor / 10_i128.pow(digits.min(18))
}

/// An amount of thousandths of `resource` as people write it: `200m` of a CPU, `512Mi` of memory, `3` pods.
pub fn shown(resource: &str, milli: i128) -> String {
    match resource {
        "cpu" => format!("{milli}m"),
        "memory" | "ephemeral-storage" => format!("{}Mi", milli / (1000 << 20)),
        _ => format!("{}", milli / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::{milli, shown};

    #[test]
    fn quantities_are_read_as_the_scheduler_reads_them() {
        for (text, expected) in [
            ("200m", 200),
            ("2", 2000),
            ("1.5", 1500),
            ("64Mi", 64 * 1_048_576_000),
            ("24684100Ki", 24_684_100 * 1_024_000),
            ("1k", 1_000_000),
            ("0.5Gi", 536_870_912_000),
            ("nonsense", 0),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
        assert_eq!(shown("cpu", milli("2")), "2000m");
        assert_eq!(shown("memory", milli("1Gi")), "1024Mi");
        assert_eq!(shown("pods", milli("110")), "110");
    }
}

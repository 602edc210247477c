use super::*;
use crate::plan::kubelet::NEWEST_KNOWN;

#[test]
fn each_row_has_a_source_and_a_life() {
    let newest = NEWEST_KNOWN.column();
    for flag in flags() {
        let Flag { name, first, deprecated, gone, evidence, .. } = flag;
        let (source, _) = evidence.parts().unwrap_or_else(|| panic!("{name}: {evidence:?}"));
        assert!(!matches!(source, Source::Types), "{name}");
        assert!(first <= newest && gone.is_none_or(|g| first < g && g <= newest), "{name}");
        assert!(deprecated.is_none_or(|d| first <= d && gone.is_none_or(|g| d <= g)), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        for other in flags().filter(|f| f.name == name && *f != flag) {
            assert!((0..=newest).all(|m| !(flag.lives(m) && other.lives(m))), "{name}: two lives at once");
        }
        match flag.instead {
            Instead::Field(path) => assert!(fields().any(|f| f.path == path), "{name}: {path}"),
            Instead::Say(text) => assert!(!text.is_empty(), "{name}"),
            Instead::Nothing => {}
        }
    }
    for field in fields() {
        assert!(field.evidence.parts().is_some(), "{field:?}");
        assert!(field.first >= 10 && field.first <= newest, "{}", field.path);
    }
}

/// Every line is read whole, and the tables are in order.
#[test]
fn the_tables_are_well_formed() {
    let count = |text: &str| text.lines().count();
    assert_eq!((flags().count(), fields().count()), (count(FLAGS), count(FIELDS)));
    assert!(count(FLAGS) > 220 && count(FIELDS) > 80);
    for line in FLAGS.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let minor = |w: &str| w == "-" || w.parse::<u8>().is_ok();
        assert!(["v", "s"].contains(&words[1]) && words[3..5].iter().all(|w| minor(w)), "{line}");
        assert!(!line.ends_with(' ') && !line.contains("  "), "{line}");
    }
    assert!(flags().is_sorted_by_key(|f| (f.name, f.first)) && fields().is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(Evidence("x1b").parts(), None);
    assert_eq!(Evidence("p0b").parts(), None);
    assert_eq!(Evidence("e2845g").parts(), Some((Source::Kep(2845), Certainty::Gone)));
}

/// A flag that is deprecated in favour of a field is so once the field is there.
#[test]
fn fields_are_there_when_their_flags_are_deprecated() {
    for flag in flags() {
        if let (Instead::Field(path), Some(deprecated)) = (flag.instead, flag.deprecated) {
            let field = fields().find(|f| f.path == path).unwrap();
            assert!(field.first <= deprecated, "--{}: {path} came in 1.{}", flag.name, field.first);
        }
    }
}

#[test]
fn names_are_found_in_both_spellings() {
    let life = |name: &str, minor| match standing(name, minor) {
        Standing::Lives(f) => format!("lives since {}", f.first),
        Standing::Dead(f) => f.why_not(minor),
        Standing::Unknown => "unknown".into(),
    };
    assert_eq!(life("config", 5), "lives since 0");
    assert_eq!(life("config", 8), "gone in 1.6; now: --pod-manifest-path");
    assert_eq!(life("config", 10), "lives since 10");
    assert_eq!(life("api_servers", 7), "lives since 0");
    assert_eq!(life("api-servers", 8), "gone in 1.8; now: the kubeconfig's server");
    assert_eq!(life("config-dir", 27), "it came in 1.28");
    assert_eq!(life("iptables-drop-bit", 31), "gone in 1.31, nothing replaces it");
    assert_eq!(life("Address", 20), "unknown");
    assert_eq!(field_of("register-node", 22), None);
    assert_eq!(field_of("register-node", 23).unwrap().path, "registerNode");
    assert_eq!(field_of("hostname-override", 38), None);
}

use super::*;
use crate::plan::kubelet::NEWEST_KNOWN;

/// A source in words.
fn text(source: Source) -> String {
    match source {
        Source::Options => "cmd/kubelet/app/options/options.go".into(),
        Source::Reference => "the reference page kubelet.md".into(),
        Source::Kubelet => "what kubelets list".into(),
        Source::Notes => "CHANGELOG-1.N.md".into(),
        Source::Pull(number) => format!("kubernetes/kubernetes#{number}"),
        Source::Kep(number) => format!("kep.k8s.io/{number}"),
        Source::Types => "KubeletConfiguration, types.go".into(),
    }
}

#[test]
fn each_row_has_a_source_and_a_life() {
    let newest = u8::try_from(NEWEST_KNOWN.minor).unwrap();
    for flag in flags() {
        let Flag { name, first, deprecated, gone, source, .. } = *flag;
        assert!(
            !text(source).ends_with("#0") && !matches!(source, Source::Types),
            "{name}: {}",
            text(source)
        );
        assert!(first <= newest && gone.is_none_or(|g| first < g && g <= newest), "{name}");
        assert!(deprecated.is_none_or(|d| first <= d && gone.is_none_or(|g| d <= g)), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        let others = flags().filter(|f| f.name == name && *f != flag);
        for other in others {
            assert!((0..=newest).all(|m| !(flag.lives(m) && other.lives(m))), "{name}: two lives at once");
        }
        match flag.instead {
            Instead::Field(path) => assert!(FIELDS.iter().any(|f| f.path == path), "{name}: {path}"),
            Instead::Say(text) => assert!(!text.is_empty(), "{name}"),
            Instead::Nothing => {}
        }
    }
    assert!(flags().count() > 230);
    for field in FIELDS {
        assert!(!text(field.source).ends_with("#0"), "{}", field.path);
        assert!(field.first >= 10 && field.first <= newest && field.gone.is_none(), "{}", field.path);
        assert_eq!(FIELDS.iter().filter(|f| f.path == field.path).count(), 1, "{}", field.path);
    }
    assert!(FIELDS.is_sorted_by_key(|f| f.path), "by path");
}

/// A flag that is deprecated in favour of a field is so once the field is there.
#[test]
fn fields_are_there_when_their_flags_are_deprecated() {
    for flag in flags() {
        if let (Instead::Field(path), Some(deprecated)) = (flag.instead, flag.deprecated) {
            let field = FIELDS.iter().find(|f| f.path == path).unwrap();
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

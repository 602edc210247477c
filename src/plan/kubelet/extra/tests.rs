use super::*;

fn checked(minor: u32, words: &str) -> Extra {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    Extra::read(&words, Version { minor }).unwrap()
}

#[test]
fn what_is_known_is_passed_as_it_was_written() {
    for words in [
        "--v=2",
        "-v 2",
        "-v=2",
        "-v2 -h",
        "--node-labels a=b --fail-swap-on=false",
        "--eviction_hard memory.available<5%",
        "--oom-score-adj -5 --v 2",
        "--register-with-taints=k=v:NoSchedule",
        "--node-labels",
        "--v=2 -- --api-servers x",
    ] {
        let extra = checked(20, words);
        assert_eq!((extra.words.join(" "), extra.notes.len()), (words.to_owned(), 0), "{extra:?}");
    }
}

#[test]
fn what_that_version_is_given() {
    for (minor, words, name, value) in [
        (20, "--v=2 --port=1 --port 2", "port", Some("2")),
        (20, "--root_dir /a --x", "root-dir", Some("/a")),
        (20, "--root-dir", "root-dir", None),
        (20, "root-dir=/a", "root-dir", None),
        (20, "-- --root-dir=/a", "root-dir", None),
        (20, "--root-dir=/a --v --root-dir=/b", "root-dir", Some("/a")),
        (30, "--docker-endpoint=unix:///x", "docker-endpoint", None),
        (20, "--fail-swap-on false", "fail-swap-on", Some("true")),
    ] {
        assert_eq!(checked(minor, words).value(name), value, "{minor} {words}");
    }
    assert!(checked(20, "--root-dir").gives("root-dir"));
    let switch = |words| checked(20, words).switch("register-node");
    assert_eq!(
        ["--register-node", "--register_node=F", "--register-node=x", "--v=2"].map(switch),
        [Some(true), Some(false), None, None]
    );
}

#[test]
fn what_is_gone_or_not_there_yet_is_left_out_with_its_value() {
    for (minor, words, left, note) in [
        (
            20,
            "--api-servers http://x --v=2",
            "--v=2",
            "--api-servers is left out for kubelet 1.20: gone in 1.8; now: the kubeconfig's server",
        ),
        (
            20,
            "--api_servers=http://x",
            "",
            "--api-servers is left out for kubelet 1.20: gone in 1.8; now: the kubeconfig's server",
        ),
        (
            5,
            "--configure-cbr0 --v=2",
            "--v=2",
            "--configure-cbr0 is left out for kubelet 1.5: gone in 1.5; now: a network plugin",
        ),
        (20, "--config-dir -x --v=2", "--v=2", "--config-dir is left out for kubelet 1.20: it came in 1.28"),
        (
            22,
            "--chaos-chance=1",
            "",
            "--chaos-chance is left out for kubelet 1.22: gone in 1.22, nothing replaces it",
        ),
        (7, "--config /m", "", "--config is left out for kubelet 1.7: gone in 1.6; now: --pod-manifest-path"),
        (
            35,
            "--pod-infra-container-image p",
            "",
            "--pod-infra-container-image is left out for kubelet 1.35: gone in 1.35; now: the runtime's sandbox image",
        ),
        (
            32,
            "--runonce --v=2",
            "--v=2",
            "--runonce is left out for kubelet 1.32: gone in 1.32, nothing replaces it",
        ),
        (
            50,
            "--containerd /x",
            "",
            "--containerd is left out for kubelet 1.50: gone in 1.37; now: --container-runtime-endpoint",
        ),
        (
            20,
            "--container-log-x 5 --v=2",
            "--container-log-x 5 --v=2",
            "--container-log-x is unknown to kboot: passed on to kubelet 1.20",
        ),
        (
            29,
            "--config-dir /x",
            "--config-dir /x",
            "--config-dir: kubelet 1.29 ends, unless KUBELET_CONFIG_DROPIN_DIR_ALPHA is in its environment (--env)",
        ),
        (20, "--nope --v=2", "--nope --v=2", "--nope is unknown to kboot: passed on to kubelet 1.20"),
        (
            20,
            "--fail-swap-on false",
            "--fail-swap-on false",
            "false is no flag (a switch is turned off by --name=false): passed on",
        ),
        (
            20,
            "-logtostderr",
            "-logtostderr",
            "-logtostderr is unknown to kboot (a long flag has two dashes): passed on",
        ),
    ] {
        let extra = checked(minor, words);
        assert_eq!((extra.words.join(" ").as_str(), extra.notes), (left, vec![note.to_owned()]), "{words}");
    }
}

#[test]
fn what_belongs_to_kboot_is_refused() {
    for (minor, words, why) in [
        (
            20,
            "--hostname-override=x",
            "--hostname-override: give --name to kboot instead: register must use the same",
        ),
        (
            1,
            "--hostname_override x",
            "--hostname-override: give --name to kboot instead: register must use the same",
        ),
        (20, "--config=/x", "--config: kboot writes that file: give flags instead"),
        (
            30,
            "--container-runtime-endpoint=unix:///run/crio/crio.sock",
            "--container-runtime-endpoint: give --runtime to kboot instead: it waits for that one and looks at it",
        ),
        (
            23,
            "--container_runtime remote",
            "--container-runtime: give --runtime to kboot instead: it waits for that one and looks at it",
        ),
        (
            28,
            "--config /x",
            "--config: kboot writes that file: give flags instead, or files of your own in a --config-dir",
        ),
        (1, "--api-servers x", "--api-servers: give --server to kboot instead: register must use the same"),
        (
            20,
            "--kubeconfig=/x",
            "--kubeconfig: give --kubeconfig to kboot instead: it checks that file, and register must use the same",
        ),
    ] {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        assert_eq!(Extra::read(&words, Version { minor }).unwrap_err(), why);
    }
}

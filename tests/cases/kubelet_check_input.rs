//! kubelet-launch, what is typed: bad input is told before anything is waited for, and checks go by what the
//! kubelet itself is told behind `--`.

use std::fs;

use crate::support::preflight::Fit;
use crate::support::{Scratch, run};

/// Without a server, a runtime or a lease: a wait would end with exit status 75.
fn refused(words: &str) -> String {
    let base = "kubelet-launch --kubelet /bin/true --kubelet-version 1.30 --timeout 200ms";
    let args: Vec<&str> = base.split(' ').chain(words.split(' ')).collect();
    let done = run(&args);
    assert!(done.code == 2 && done.stdout.is_empty(), "{words}: {done:?}");
    done.stderr.lines().last().unwrap().trim_start_matches("kboot kubelet-launch: ").to_owned()
}

#[test]
fn what_no_kubelet_takes() {
    let dir = Scratch::new();
    let empty = dir.file("empty.crt", "no PEM\n");
    for (words, why) in [
        ("--node-ip 0.0.0.0", "--node-ip 0.0.0.0: no other host reaches this one there".to_owned()),
        ("--node-ip fd00::5 --node-ip ::1", "--node-ip ::1: no other host reaches this one there".into()),
        (
            "--node-ip 192.0.2.5 --node-ip fd00::5 --node-ip 192.0.2.6",
            "--node-ip 192.0.2.5 and 192.0.2.6 are of one family: give one, or one of each".into(),
        ),
        (
            "--cluster-domain cluster_local",
            "--cluster-domain \"cluster_local\": is no DNS name in lower case such as cluster.local".into(),
        ),
        (
            "--cluster-domain cluster..local",
            "--cluster-domain \"cluster..local\": is no DNS name in lower case such as cluster.local".into(),
        ),
        ("--client-ca-file /no/ca.crt", "/no/ca.crt: No such file or directory".into()),
        (
            &format!("--client-ca-file {empty}"),
            format!("--client-ca-file {empty}: holds no certificate in PEM"),
        ),
        (
            "-- --container-runtime-endpoint=unix:///run/crio/crio.sock",
            "--container-runtime-endpoint: give --runtime to kboot instead: it waits for that one and looks at it"
                .into(),
        ),
    ] {
        assert_eq!(refused(words), why);
    }
}

/// In the kubelet's file of settings they would be relative to that file.
#[test]
fn paths_are_made_absolute() {
    let words = "kubelet-launch --kubelet-version 1.20 --server http://192.0.2.1:8080 --subnet 10.20.7.1/24 \
        --cluster-domain cluster.local. --node-ip 192.0.2.5 --node-ip fd00::5 --manifests static/pods \
        --resolv-conf src/lib.rs --dry-run";
    let done = run(&words.split_whitespace().collect::<Vec<_>>());
    let here = fs::canonicalize(".").unwrap().display().to_string();
    for field in
        [format!("\"staticPodPath\":\"{here}/static/pods\""), format!("\"resolvConf\":\"{here}/src/lib.rs\"")]
    {
        assert!(done.code == 0 && done.stdout.contains(&field), "{field} {done:?}");
    }
}

#[test]
fn checks_go_by_what_the_kubelet_is_told() {
    let Some(fit) = Fit::new() else { return };
    for (version, more, line) in [
        ("1.30", "-- --pod-manifest-path=/tmp", "ok manifests /tmp"),
        ("1.30", "-- --pod-manifest-path /run/empty", "ok manifests /run/empty"),
        ("1.30", "-- --pod-manifest-path=", "ok manifests none, as given"),
        ("1.3", "--kubelet /bin/true --runtime docker -- --pod-manifest-path=/tmp", ""),
        (
            "1.20",
            "--runtime docker -- --docker-endpoint=unix:///run/no.sock",
            "blocker runtime docker at unix:///run/no.sock: No such file or directory: the kubelet ends without it: \
             start it, or name another with --runtime",
        ),
        // Not the kubelet's: behind `--` nothing is a flag, and another --root-dir is a value.
        ("1.30", "-- -- --pod-manifest-path=/tmp", ""),
        ("1.30", "-- --node-labels --pod-manifest-path=/tmp", ""),
    ] {
        let words = format!("--subnet 10.20.7.1/24 --bridge pods0 --kubelet-version {version} {more}");
        let table = fit.table("", &words);
        let expected = if line.is_empty() { "ok manifests /etc/kubernetes/manifests" } else { line };
        assert!(table.contains(&expected.to_owned()), "{more}: {table:?}");
    }
    let table = fit.table("", "--subnet 10.20.7.1/24 --kubelet /no/such --kubelet-version 1.30");
    let none = "blocker kubelet /no/such: no such program: there is nothing to start: install it, or name it with \
        --kubelet";
    assert_eq!(table[0], none);
    let unknown = fit.after("", "--check --subnet 10.20.7.1/24 --kubelet /no/such");
    let why = "kboot kubelet-launch: the kubelet cannot be asked for its version (--kubelet-version gives it): \
        /no/such: no such program\n";
    assert!(unknown.code == 127 && unknown.stderr.ends_with(why), "{unknown:?}");
    let swap = "printf 'Filename\n/dev/vdb2 partition 9 0 -2\n' >/run/on; mount --bind /run/on /proc/swaps";
    for more in ["-- --fail-swap-on false", "--allow-swap -- --fail-swap-on", "-- -- --fail-swap-on=false"] {
        let told = fit.differs("1.30", swap, more);
        assert!(told.len() == 1 && told[0].starts_with("blocker swap swap is on"), "{more}: {told:?}");
    }
}

/// From 1.4 on the kubelet's own default for --docker-endpoint comes before the variable.
#[test]
fn docker_host_counts_where_the_kubelets_client_reads_it() {
    let Some(fit) = Fit::new() else { return };
    for (version, url) in [("1.3", "unix:///run/other.sock"), ("1.20", "unix:///var/run/docker.sock")] {
        let words = format!("--subnet 10.20.7.1/24 --kubelet-version {version} --runtime docker");
        let table = fit.table("export DOCKER_HOST=unix:///run/other.sock", &words);
        let gone = format!("blocker runtime docker at {url}: No such file or directory: ");
        assert!(table.iter().any(|l| l.starts_with(&gone)), "{table:?}");
    }
}

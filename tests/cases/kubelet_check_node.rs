//! kubelet-launch --check, towards the API server: names, certificates and the clock, the Node itself.

use std::fs;

use crate::support::api::{self, ADMIN, Api, NOBODY};
use crate::support::preflight::{Fit, check, lines};
use crate::support::{Scratch, free_port, run, tool};

/// A certificate of its own key, valid between these hours from now and a half, as openssl's ca makes it: (certificate, key).
fn certificate(scratch: &Scratch, name: &str, from: i64, to: i64) -> (String, String) {
    let file = format!("{}-{from}-{to}", name.replace(':', "-"));
    let [key, csr, crt] = ["key", "csr", "crt"].map(|e| scratch.path(&format!("{file}.{e}")));
    let subject = format!("/O=system:nodes/CN={name}");
    tool("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    tool("openssl", &["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr]);
    let directory = scratch.path(&format!("{file}.ca"));
    fs::create_dir(&directory).unwrap();
    fs::write(format!("{directory}/index"), "").unwrap();
    let config = scratch.file(
        &format!("{file}.cnf"),
        format!(
            "[ca]\ndefault_ca=x\n[x]\ndir={directory}\ndatabase={directory}/index\nnew_certs_dir={directory}\n\
             rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\norganizationName=optional\ncommonName=supplied\n"
        ),
    );
    let at = |hours: i64| {
        let when = format!("{hours} hours 30 minutes");
        tool("date", &["-u", "-d", &when, "+%Y%m%d%H%M%SZ"]).trim().to_owned()
    };
    let words =
        ["ca", "-batch", "-selfsign", "-config", &config, "-keyfile", &key, "-in", &csr, "-out", &crt];
    let dates = ["-notext", "-startdate", &at(from), "-enddate", &at(to)];
    tool("openssl", &[&words[..], &dates].concat());
    (crt, key)
}

/// A kubeconfig with them; nobody is at its server.
fn kubeconfig(scratch: &Scratch, ca: Option<&str>, client: Option<&(String, String)>) -> String {
    let ca =
        ca.map_or("insecure-skip-tls-verify: true".into(), |ca| format!("certificate-authority: '{ca}'"));
    let user = client.map(|(crt, key)| format!("client-certificate: '{crt}', client-key: '{key}'"));
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:9', {ca}}}}}]\n\
         users: [{{name: u, user: {{{}}}}}]\n",
        user.unwrap_or_default()
    );
    scratch.file("kubeconfig", text)
}

/// One line of the table.
fn told(fit: &Fit, of: &str, config: &str, more: &str) -> String {
    let words = format!("--subnet 10.20.7.1/24 --kubelet-version 1.30 --kubeconfig {config} {more}");
    fit.table("", &words).into_iter().find(|l| check(l) == of).unwrap_or_else(|| panic!("no {of}"))
}

#[test]
fn one_name_everywhere() {
    let Some(fit) = Fit::new() else { return };
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let name = |config: &str, more: &str| told(&fit, "name", config, more);
    let of_node = certificate(&fit.scratch, "system:node:rack-7.example", -1, 48);
    let config = kubeconfig(&fit.scratch, None, Some(&of_node));
    assert_eq!(name(&config, ""), format!("ok name rack-7.example, on the host {host}"));
    assert_eq!(name(&config, "--name rack-7.example"), format!("ok name rack-7.example, on the host {host}"));
    assert_eq!(
        name(&config, "--name rack-8"),
        "blocker name the Node is rack-8, the client certificate is system:node:rack-7.example's: the API server \
         refuses what the kubelet writes (NodeRestriction): --name rack-7.example, or a certificate for rack-8"
    );
    assert!(name(&config, "--name rack-8 --ignore name").starts_with("warning name the Node is rack-8, "));
    let lower = host.to_ascii_lowercase();
    if lower == host && lower.parse::<u8>().is_err() {
        let config = kubeconfig(&fit.scratch, None, None);
        assert_eq!(name(&config, &format!("--name {host}")), format!("ok name {host}, as the host"));
    }
    let of_admin = certificate(&fit.scratch, "kubernetes-admin", -1, 48);
    let config = kubeconfig(&fit.scratch, None, Some(&of_admin));
    assert_eq!(name(&config, ""), format!("ok name 10.20.7.1, on the host {host}"), "not a node's");
}

#[test]
fn a_nodes_certificate_is_renewed() {
    let scratch = Scratch::new();
    for (name, is_renewed) in [("system:node:rack-7.example", true), ("kubernetes-admin", false)] {
        let config = kubeconfig(&scratch, None, Some(&certificate(&scratch, name, -1, 48)));
        for (version, says) in
            [("1.8", "--rotate-certificates=true"), ("1.30", "\"rotateCertificates\":true")]
        {
            let words =
                ["kubelet-launch", "--dry-run", "--subnet", "10.20.7.1/24", "--kubelet-version", version];
            let done = run(&[&words[..], &["--kubeconfig", &config]].concat());
            assert_eq!(done.ok().contains(says), is_renewed, "{name}, {version}: {done:?}");
        }
    }
}

#[test]
fn the_clock_by_the_certificates() {
    let Some(fit) = Fit::new() else { return };
    let scratch = &fit.scratch;
    let make = |from, to| certificate(scratch, "system:node:rack-7", from, to);
    let client = |from, to| {
        let config = kubeconfig(scratch, None, Some(&make(from, to)));
        told(&fit, "clock", &config, "")
    };
    let no_tls = "no TLS connection to the API server comes about";
    let renewal = "make a new one (kubeadm kubeconfig user; register --bootstrap-token-file)";
    let of = "the client certificate";
    assert_eq!(client(-24, 24 * 365 + 12), format!("ok clock {of} is valid for 365 days"));
    assert_eq!(client(-1, 23), format!("ok clock {of} is valid for 23 hours"), "a short life is no drift");
    assert_eq!(
        client(-24 * 360, 24 * 5 + 12),
        format!("warning clock {of} expires in 5 days: from then on {no_tls}: {renewal}")
    );
    let expired = format!(
        "warning clock {of} expired 2 days ago, by this host's clock: {no_tls}: set the clock, or {renewal}"
    );
    assert_eq!(client(-99, -50), expired);
    let early =
        format!("warning clock {of} becomes valid in 4 hours, by this host's clock: {no_tls}: set the clock");
    assert_eq!(client(4, 99), early);
    // Then the kubelet asks for a new one itself.
    let config = kubeconfig(scratch, None, Some(&make(-90, -60)));
    let again = told(&fit, "clock", &config, "-- --bootstrap-kubeconfig=/etc/kubernetes/bootstrap.conf");
    assert_eq!(again, "ok clock no certificate depends on it");
    // The old CA beside the new one.
    let [old, new] =
        [make(-800, -300).0, make(-200, 24 * 300 + 12).0].map(|f| fs::read_to_string(f).unwrap());
    let ca = |text: &str| {
        let config = kubeconfig(scratch, Some(&scratch.file("ca.crt", text)), None);
        told(&fit, "clock", &config, "")
    };
    let valid = "ok clock the API server's CA is valid for 300 days";
    assert_eq!((ca(&format!("{old}{new}")).as_str(), ca(&new).as_str()), (valid, valid));
    assert_eq!(
        ca(&old),
        format!(
            "warning clock the API server's CA expired 12 days ago, by this host's clock: {no_tls}: set the clock, \
             or get the cluster's new CA"
        )
    );
}

/// What is found of the Node: nothing is asked of this machine but the real API server.
fn node(api: &Api, server: &str, token: &str, more: &[&str]) -> String {
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{server}', certificate-authority: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: {token}}}}}]\n",
        api.cacert
    );
    let config = api.scratch.file("look-kubeconfig", text);
    let words = ["kubelet-launch", "--check", "--json", "--kubelet-version", "1.30", "--kubeconfig", &config];
    let all = lines(&run(&[&words[..], more].concat()).json());
    all.into_iter().find(|l| check(l) == "node").unwrap()
}

#[test]
fn the_node_as_the_api_server_has_it() {
    let Some(api) = api::shared() else { return };
    let make = |name: &str, spec: &str| {
        let text = format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n");
        let file = api.scratch.file(&format!("{name}.yaml"), text);
        api.kubectl(&["create", "-f", &file]).ok();
    };
    make("look-none", "");
    make("look-right", "podCIDR: 10.97.3.0/24, podCIDRs: [10.97.3.0/24]");
    let url = &api.url;
    let ours = "10.97.3.1/24";
    for (subnet, name, more, want) in [
        (ours, "look-right", &[][..], "ok node look-right is there, with podCIDR 10.97.3.0/24".to_owned()),
        (
            ours,
            "look-none",
            &[],
            "warning node Node look-none has no podCIDR: nobody routes to its pods: run kboot register".into(),
        ),
        (
            "10.97.4.1/24",
            "look-right",
            &[],
            "warning node Node look-right has podCIDR 10.97.3.0/24, the lease is 10.97.4.0/24: its pods are looked \
             for elsewhere: run kboot register --replace"
                .into(),
        ),
        (
            ours,
            "look-nobody",
            &[],
            format!(
                "warning node {url} has no Node look-nobody: the kubelet does not make it (--register-node=false): \
                 run kboot register"
            ),
        ),
        (ours, "look-nobody", &["--register-node"], "ok node look-nobody: the kubelet makes it".into()),
        (ours, "look-nobody", &["--", "--register-node"], "ok node look-nobody: the kubelet makes it".into()),
    ] {
        let words = ["--subnet", subnet, "--name", name];
        assert_eq!(node(api, url, ADMIN, &[&words[..], more].concat()), want, "{subnet} {name}");
    }
    let credentials = "the kubelet may not get further: see to its credentials (--kubeconfig)";
    let words = ["--subnet", ours, "--name", "look-right"];
    for (token, status) in [(NOBODY, 403), ("wrong", 401)] {
        assert_eq!(
            node(api, url, token, &words),
            format!("warning node {url}: HTTP status {status} for Node look-right: {credentials}")
        );
    }
    let gone = format!("https://127.0.0.1:{}", free_port());
    assert_eq!(
        node(api, &gone, ADMIN, &words),
        format!(
            "warning node {gone}: Connection refused: the kubelet starts, and tries again and again: see to the API \
             server, or --server"
        )
    );
}

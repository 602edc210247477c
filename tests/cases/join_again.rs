//! Joins where something is there already: whose it is, whether it is still good, and who else is at it.
//! Dry runs, which ask no server once its CA is given.

use std::fs::File;

use crate::support::join::{ID, SECRET, shell};
use crate::support::tls_server::certificates;
use crate::support::{Done, Scratch, run};

const URL: &str = "https://127.0.0.1:9";

/// A kubeconfig with the certificate where kboot keeps it, trusting that CA.
fn kubeconfig(dir: &Scratch, ca: &str) -> String {
    let pair = dir.path("pki/kubelet-client-current.pem");
    dir.file(
        "kubelet.conf",
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{URL}', certificate-authority: {ca}}}}}]\n\
         users: [{{name: u, user: {{client-certificate: {pair}, client-key: {pair}}}}}]\n"
        ),
    )
}

/// Certificate and key of that subject, where kboot keeps them.
fn pair(dir: &Scratch, subject: &str) {
    let line = "mkdir -p $1 && cd $1 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -keyout key -out crt -days 9 -subj $2 2>/dev/null && cat crt key > kubelet-client-current.pem && rm crt key";
    shell(line, &[&dir.path("pki"), subject]);
}

fn join(dir: &Scratch, more: &[&str]) -> Done {
    let token = dir.file("token", format!("{ID}.{SECRET}"));
    let words = ["register", "--subnet", "10.178.1.1/24", "--name", "n5", "--bootstrap-token-file", &token];
    let (config, pki) = (dir.path("kubelet.conf"), dir.path("pki"));
    run(&[&words[..], &["--kubelet-kubeconfig", &config, "--cert-dir", &pki], more].concat())
}

#[test]
fn a_cluster_made_anew_at_its_old_address_is_joined_anew() {
    let dir = Scratch::new();
    let [old, new] = ["old", "new"].map(|name| certificates(&dir, name, "IP:127.0.0.1", "9")[0].clone());
    pair(&dir, "/O=system:nodes/CN=system:node:n5");
    let config = kubeconfig(&dir, &old);
    let at = ["--server", URL, "--dry-run", "--cacert"];
    let done = join(&dir, &[&at[..], &[&new]].concat());
    let says = format!("{config}: trusts another CA than this run: joining anew");
    assert!(done.code == 0 && done.stderr.contains(&says), "{done:?}");
    assert!(done.stdout.contains("# CertificateSigningRequest for system:node:n5\n"), "{done:?}");
    assert!(done.stdout.contains(&format!("kubectl config --kubeconfig={config} ")), "{done:?}");
    // It is kboot's own.
    assert!(!done.stdout.contains(".kboot-old"), "{done:?}");
    // One of two is enough, as while a CA is changed.
    let both = dir.file("both", shell("cat $1 $2", &[&old, &new]));
    let done = join(&dir, &[&at[..], &[&both, "--timeout", "0"]].concat());
    assert!(!done.stdout.contains("CertificateSigningRequest"), "{done:?}");
}

#[test]
fn a_certificate_of_no_group_is_no_nodes() {
    let dir = Scratch::new();
    let [ca, ..] = certificates(&dir, "some", "IP:127.0.0.1", "9");
    pair(&dir, "/O=system:masters/CN=system:node:n5");
    let config = kubeconfig(&dir, &ca);
    let done = join(&dir, &["--server", URL, "--dry-run", "--cacert", &ca]);
    let says = format!("{config}: its certificate is not of the group system:nodes: joining anew");
    assert!(done.code == 0 && done.stderr.contains(&says), "{done:?}");
}

/// The file of the certificate was deleted; server and CA are in the kubeconfig yet.
#[test]
fn a_kubeconfig_whose_certificate_is_gone_says_where_to_join() {
    let dir = Scratch::new();
    let [ca, ..] = certificates(&dir, "some", "IP:127.0.0.1", "9");
    let config = kubeconfig(&dir, &ca);
    let done = join(&dir, &["--kubeconfig", &config, "--dry-run"]);
    assert!(done.code == 0 && done.stderr.contains("No such file or directory: joining anew"), "{done:?}");
    assert!(done.stdout.contains("# CertificateSigningRequest for system:node:n5\n"), "{done:?}");
}

#[test]
fn two_at_once_do_not_make_two_keys() {
    let dir = Scratch::new();
    let [ca, ..] = certificates(&dir, "some", "IP:127.0.0.1", "9");
    std::fs::create_dir(dir.path("pki")).unwrap();
    let held = File::open(dir.path("pki")).unwrap();
    held.lock().unwrap();
    let done = join(&dir, &["--server", URL, "--cacert", &ca, "--timeout", "0", "-q"]);
    let says = format!("kboot register: {}: another kboot is at work there", dir.path("pki"));
    assert_eq!(done.error(), (75, says.as_str()));
    assert_eq!(std::fs::read_dir(dir.path("pki")).unwrap().count(), 0);
}

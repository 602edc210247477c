//! Kubeconfigs whose credentials kboot cannot have: the command line's stand in for them.

use crate::support::odd_server::json;
use crate::support::tls_server::{certificates, serve};
use crate::support::{Scratch, run};

#[test]
fn a_token_file_stands_in_for_what_kboot_does_not_run() {
    let dir = Scratch::new();
    let [ca, crt, key] = certificates(&dir, "plugin", "IP:127.0.0.1", "9");
    let answer = json("403 Forbidden", "", r#"{"kind":"Status","message":"no"}"#);
    let server = serve(&crt, &key, move |_, _| answer.clone());
    let token = dir.file("token", "a-token-of-1ts-own\n");
    for (user, says) in [
        (
            "exec: {command: aws}",
            "its user gets credentials from a plugin (exec): kboot runs none; give --token-file",
        ),
        ("token: other, as: admin", "its user acts as another (as): kboot does not"),
    ] {
        let config = dir.file(
            "config",
            format!(
                "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: '{}', certificate-authority: {ca}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n",
                server.url
            ),
        );
        let words =
            ["register", "--subnet", "10.161.1.1/24", "--kubeconfig", &config, "--timeout", "0", "-q"];
        let before = server.requests.lock().unwrap().len();
        let done = run(&words);
        assert_eq!(done.error(), (2, format!("kboot register: {config}: {says}").as_str()));
        assert_eq!(server.requests.lock().unwrap().len(), before, "nothing is sent");
        let done = run(&[&words[..], &["--token-file", &token]].concat());
        assert!(done.code == 1 && done.stderr.contains("403 Forbidden"), "{done:?}");
        let requests = server.requests.lock().unwrap();
        assert!(
            requests.last().unwrap().contains("authorization: Bearer a-token-of-1ts-own\r\n"),
            "{requests:?}"
        );
    }
}

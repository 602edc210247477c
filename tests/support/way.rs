//! From a throw-away host to the shared API server, which listens on this machine's loopback: the same
//! address and port are there inside, so its certificate fits.

use std::process::Stdio;

use super::api::Api;
use super::host::Host;
use super::{Process, Scratch, need, until};

pub struct Way {
    _inside: Process,
    _outside: Process,
    _scratch: Scratch,
}

/// The API server's port, inside the host too.
pub fn to(api: &Api, host: &Host) -> Option<Way> {
    let socat = need("socat", "tools")?;
    let scratch = Scratch::new();
    let socket = scratch.path("api");
    let outside = Process::start(&socat, &scratch.0.join("log"), |c| {
        c.args([format!("UNIX-LISTEN:{socket},fork"), format!("TCP:127.0.0.1:{}", api.port)]);
    });
    until("socat listens", || scratch.0.join("api").exists());
    let listen = format!("TCP-LISTEN:{},bind=127.0.0.1,fork", api.port);
    let to = format!("UNIX-CONNECT:{socket}");
    let mut inside = host.command("setpriv", &["--pdeathsig", "KILL", "--", "socat", &listen, &to]);
    let inside = Process(inside.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the API server is there", || {
        host.sh(&format!("curl -sk {}/livez || true", api.url)).contains("ok")
    });
    Some(Way { _inside: inside, _outside: outside, _scratch: scratch })
}

/// A kubeconfig for the API server; `user` is what it says of the user, such as `tokenFile: '/t'`.
pub fn kubeconfig(api: &Api, user: &str) -> String {
    let (url, cacert) = (&api.url, &api.cacert);
    let cluster = format!("{{name: c, cluster: {{server: '{url}', certificate-authority: '{cacert}'}}}}");
    let user = format!("{{name: u, user: {{{user}}}}}");
    let context = "{name: x, context: {cluster: c, user: u}}";
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{cluster}]\nusers: [{user}]\ncontexts: [{context}]\n"
    )
}

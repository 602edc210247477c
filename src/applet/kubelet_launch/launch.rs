//! From what was found to the kubelet itself.

use super::files::{self, Launch, Write};
use super::preflight::{Look, Scene};
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::kubelet::{self, Api, Wanted};
use crate::sys::{exec, log};
use crate::types::NodeName;

/// Composes, writes what the kubelet is pointed at, and becomes it.
pub fn launch(
    scene: &Scene,
    program: String,
    bare: Option<Write>,
    look: &Look,
    report: &mut Report,
) -> Result<()> {
    let Some(name) = &scene.name else { return Err(Error::failed("the Node's name is not known")) };
    let args = &scene.args;
    let (api, client_ca) = files::api(&scene.server, args.open_api, args.client_ca_file.as_deref())?;
    if matches!(api, Api::Open) && !args.open_api {
        report.warn("the API server is plain HTTP and knows nobody: the kubelet's API on port 10250 is open to all who reach it");
    }
    let wanted = wanted(scene, name, bare.as_ref(), api, look);
    let composed = kubelet::compose(&wanted, scene.version, &scene.extra, &files::config_path());
    let composed = composed.map_err(Error::usage)?;
    for note in composed.notes {
        report.warn(note);
    }
    let config = composed.config.as_ref().map(Write::config);
    let all = [bare, client_ca, config].into_iter().flatten();
    let (there, missing): (Vec<Write>, Vec<Write>) = all.partition(Write::is_there);
    report.already(there.len());
    report.carry_out(&missing, Write::write)?;
    let step = Launch { program, flags: composed.flags };
    report.plan(&step)?;
    if report.dry_run {
        return Ok(());
    }
    log::info!("{step}");
    Err(exec::exec(&step.program, &step.flags, std::iter::empty(), &[]))
}

fn wanted(scene: &Scene, name: &NodeName, bare: Option<&Write>, api: Api, look: &Look) -> Wanted {
    let (args, server) = (&scene.args, &scene.server);
    let given = server.kubeconfig.as_ref().map(|p| p.display().to_string());
    Wanted {
        name: name.clone(),
        server: server.url.clone(),
        kubeconfig: given.or_else(|| bare.map(Write::path)),
        manifests: scene.manifests.clone(),
        address: args.listen(),
        register_node: args.register_node,
        cluster_dns: args.cluster_dns.clone(),
        cluster_domain: args.cluster_domain.clone(),
        pause_image: args.pause_image.clone(),
        runtime: Some(scene.runtime.clone()),
        cgroup_driver: look.driver,
        resolv_conf: look.resolv_conf.clone(),
        node_ip: args.node_ip.clone(),
        allow_swap: args.allow_swap,
        allow_cgroup_v1: args.allow_cgroup_v1,
        read_only_port: args.read_only_port,
        healthz_port: args.healthz_port,
        api,
    }
}

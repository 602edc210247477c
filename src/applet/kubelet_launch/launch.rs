//! From what was found to the kubelet itself.

use super::files::{self, Files, Launch, Write};
use super::preflight::{Look, Scene};
use super::process::Process;
use crate::applet::node_name;
use crate::applet::report::Report;
use crate::error::{Error, Result};
use crate::plan::kubelet::{self, Api, Composed, Wanted};
use crate::sys::log;
use crate::types::NodeName;

/// The kubelet that is to be.
pub struct Kubelet {
    /// Its program.
    pub program: String,
    /// What it is pointed at.
    pub files: Files,
    /// How it is run.
    pub process: Process,
}

/// Whether that version can be asked for all of this, before anything is waited for: an error then is bad
/// input. Gives what the kubelet is to be pointed at.
pub fn validate(scene: &Scene) -> Result<Files> {
    let files = files::decide(scene)?;
    let any: NodeName = "node".parse().map_err(Error::failed)?;
    compose(scene, &any, &files, &Look::default())?;
    Ok(files)
}

/// Composes, writes what the kubelet is pointed at, and becomes it.
pub fn launch(scene: &Scene, kubelet: Kubelet, look: &Look, report: &mut Report) -> Result<()> {
    let Kubelet { program, files, process } = kubelet;
    let Some(name) = &scene.name else { return Err(Error::failed("the Node's name is not known")) };
    if matches!(files.api, Api::Open) && !scene.args.open_api {
        report.warn("the API server is plain HTTP and knows nobody: the kubelet's API on port 10250 is open to all who reach it");
    }
    let composed = compose(scene, name, &files, look)?;
    for note in composed.notes {
        report.warn(note);
    }
    let config = composed.config.as_ref().map(Write::config);
    let all = [files.kubeconfig, files.client_ca, config].into_iter().flatten();
    let (there, missing): (Vec<Write>, Vec<Write>) = all.partition(Write::is_there);
    report.already(there.len());
    report.carry_out(&missing, Write::write)?;
    let step = Launch { program, flags: composed.flags };
    report.plan(&step)?;
    if report.dry_run {
        return Ok(());
    }
    log::info!("{step}");
    process.run(&step.program, &step.flags, scene.version)
}

fn compose(scene: &Scene, name: &NodeName, files: &Files, look: &Look) -> Result<Composed> {
    let wanted = wanted(scene, name, files, look)?;
    kubelet::compose(&wanted, scene.version, &scene.extra, &files::config_path()).map_err(Error::usage)
}

fn wanted(scene: &Scene, name: &NodeName, files: &Files, look: &Look) -> Result<Wanted> {
    let (args, server) = (&scene.args, &scene.server);
    let given = server.kubeconfig.as_ref().map(|p| p.display().to_string());
    Ok(Wanted {
        name: name.clone(),
        server: server.url.clone(),
        kubeconfig: given.or_else(|| files.kubeconfig.as_ref().map(Write::path)),
        manifests: scene.manifests.clone(),
        address: args.listen(),
        register_node: args.register_node,
        cluster_dns: args.cluster_dns.clone(),
        cluster_domain: args.cluster_domain.clone(),
        pause_image: args.pause_image.clone(),
        runtime: scene.runtime.clone(),
        cgroup_driver: look.driver,
        resolv_conf: look.resolv_conf.clone(),
        resolv_conf_is_given: args.resolv_conf.is_some(),
        node_ip: args.node_ip.clone(),
        allow_swap: args.allow_swap,
        allow_cgroup_v1: args.allow_cgroup_v1,
        read_only_port: args.read_only_port,
        healthz_port: args.healthz_port,
        api: files.api.clone(),
        // It can renew a node's certificate only: the API server signs no other for it.
        rotate_certificates: node_name::of_certificate(&server.tls)?.is_some(),
        oom_score_adj: args.oom_score_adj,
        max_open_files: args.nofile,
    })
}

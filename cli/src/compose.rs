//! Makes two components one: the second supplies imports of the first.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use wac_graph::types::{InterfaceId, ItemKind, Package};
use wac_graph::{CompositionGraph, EncodeOptions, PackageId};

/// Connects the exports of the component `plug` to the imports of `socket` that
/// have the same names. The composition imports the interfaces that neither
/// supplies. It exports all that `socket` exports, and those other interfaces of `plug`
/// whose types these exports use: a component's exports may only name types that
/// it imports or exports too.
///
/// Errors: the types of a name do not agree. (`wac_graph::plug` leaves such an
/// import unconnected, and says nothing.)
pub fn compose(socket: &[u8], plug: &[u8]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let socket = register(&mut graph, "tether:socket", socket)?;
    let plug = register(&mut graph, "tether:plug", plug)?;
    let shared = shared_names(&graph, socket, plug);
    ensure!(!shared.is_empty(), "the first component imports nothing that the second exports");
    let used = used_names(&graph, socket);
    let exports = export_names(&graph, socket);

    let plug = graph.instantiate(plug);
    let socket = graph.instantiate(socket);
    for name in &shared {
        let export = graph.alias_instance_export(plug, name)?;
        graph
            .set_instantiation_argument(socket, name, export)
            .with_context(|| format!("connecting {name}"))?;
    }
    // The types come first: an export follows the types that it uses.
    let types = shared.iter().filter(|name| used.contains(*name) && !exports.contains(name));
    for (instance, name) in
        types.map(|name| (plug, name)).chain(exports.iter().map(|name| (socket, name)))
    {
        let export = graph.alias_instance_export(instance, name)?;
        graph.export(export, name).with_context(|| format!("exporting {name}"))?;
    }
    graph.encode(EncodeOptions::default()).context("writing the composition")
}

fn register(graph: &mut CompositionGraph, name: &str, component: &[u8]) -> Result<PackageId> {
    let package = Package::from_bytes(name, None, component, graph.types_mut())
        .with_context(|| format!("reading the component for {name}"))?;
    graph.register_package(package).with_context(|| format!("taking in {name}"))
}

fn export_names(graph: &CompositionGraph, package: PackageId) -> Vec<String> {
    let world = &graph.types()[graph[package].ty()];
    world.exports.keys().cloned().collect()
}

fn shared_names(graph: &CompositionGraph, socket: PackageId, plug: PackageId) -> Vec<String> {
    let imports = &graph.types()[graph[socket].ty()].imports;
    export_names(graph, plug).into_iter().filter(|name| imports.contains_key(name)).collect()
}

/// The interfaces that a component's exports use types of, directly or through
/// other interfaces.
fn used_names(graph: &CompositionGraph, package: PackageId) -> HashSet<String> {
    let types = graph.types();
    let mut open: Vec<InterfaceId> = types[graph[package].ty()]
        .exports
        .values()
        .filter_map(|kind| match kind {
            ItemKind::Instance(interface) => Some(*interface),
            _ => None,
        })
        .collect();
    let mut used = HashSet::new();
    while let Some(interface) = open.pop() {
        for through in types[interface].uses.values() {
            if let Some(name) = &types[through.interface].id
                && used.insert(name.clone())
            {
                open.push(through.interface);
            }
        }
    }
    used
}

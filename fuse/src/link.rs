//! Merges the modules of a composition with Binaryen's tools, and optimises them as one.
//!
//! Modules are merged in the order in which the component instantiates them, and wasm-merge keeps
//! that order for their start functions. Data and tables are written before all start functions.

use anyhow::{Context, Result};
use tether_cli::binaryen::{Binaryen, Tool};
use tether_cli::folder::{Folder, read};

use crate::Request;
use crate::modules::{base, publish, rename, starter};
use crate::parts::{Composition, Does, Item};
use crate::plan::{BASE, Plan};
use crate::transcode::transcoder;

/// The one module of a composition.
pub fn link(
    composition: &Composition,
    plan: &Plan,
    request: &Request,
    binaryen: &Binaryen,
) -> Result<Vec<u8>> {
    let linker = Linker { binaryen, request, folder: Folder::make()? };
    let published = publish(&linker.merge(composition, plan)?, plan)?;
    linker.optimise(published)
}

struct Linker<'a> {
    binaryen: &'a Binaryen,
    request: &'a Request,
    folder: Folder,
}

impl Linker<'_> {
    fn merge(&self, composition: &Composition, plan: &Plan) -> Result<Vec<u8>> {
        let mut merge = self.tool("wasm-merge")?;
        let mut add = |name: &str, module: &[u8]| -> Result<()> {
            let file = format!("{name}.wasm");
            merge.command.arg(self.folder.write(&file, module)?).arg(name);
            Ok(())
        };
        add(BASE, &base(composition, plan)?)?;
        for (index, helper) in &composition.helpers {
            if let Does::Transcode { operation, from, to } = helper.does {
                let name = Item::Helper(*index).to_string();
                let module = transcoder(operation, from, to, &name).with_context(|| {
                    format!(
                        "a string goes from {} to {}",
                        composition.part_of(from),
                        composition.part_of(to)
                    )
                })?;
                add(&name, &module)?;
            }
        }
        for number in 0..composition.instances.len() {
            let renamed = rename(composition, plan, number, self.request.keeps_names)?;
            add(&number.to_string(), &renamed)?;
            if let Some(starter) = starter(composition, number)? {
                add(&format!("{number}.start"), &starter)?;
            }
        }
        let merged = self.folder.file("merged.wasm");
        if self.request.keeps_names {
            merge.command.arg("-g");
        }
        merge.command.arg("-o").arg(&merged);
        merge.run("merging the parts with wasm-merge")?;
        read(&merged)
    }

    fn optimise(&self, module: Vec<u8>) -> Result<Vec<u8>> {
        let passes = passes(self.request);
        if passes.is_empty() {
            return Ok(module);
        }
        let from = self.folder.write("unoptimised.wasm", &module)?;
        let optimised = self.folder.file("optimised.wasm");
        let mut optimise = self.tool("wasm-opt")?;
        optimise.command.args(passes).arg(from).arg("-o").arg(&optimised);
        if self.request.keeps_names {
            optimise.command.arg("-g");
        }
        optimise.run("optimising with wasm-opt")?;
        read(&optimised)
    }

    fn tool(&self, name: &str) -> Result<Tool> {
        let mut tool = self.binaryen.tool(name)?;
        tool.command.arg("--enable-multimemory");
        Ok(tool)
    }
}

/// The passes of `wasm-opt`.
fn passes(request: &Request) -> Vec<String> {
    let mut passes = Vec::new();
    if let Some(level) = &request.level {
        // The second round inlines functions that are called directly only since the first.
        let level = format!("-O{level}");
        passes.extend([level.clone(), "--directize".to_owned(), level]);
    }
    passes
}

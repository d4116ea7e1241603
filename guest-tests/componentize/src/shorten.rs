//! Short names inside a component.
//!
//! A core module exports each function under a name such as
//! `tether:gc/heap@0.1.0#allocate`, which stands once in the module and once
//! where the component takes the function out of it. For each interface that a
//! component exports, wit-component nests a component that imports all its
//! functions and types, as `import-func-allocate`, and hands them on. No one
//! outside can see these names, so they become one or two letters: about 4 KB less
//! for the collector. What the component itself imports and exports keeps its name.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentImportSection, ComponentInstanceSection,
    ExportSection, Module,
};
use wasmparser::{
    ComponentAlias, ComponentAliasSectionReader, ComponentImportSectionReader, ComponentInstance,
    CustomSectionReader, Export, Parser,
};

/// The same component, with short names inside and without debugging names.
pub fn shorten(component: &[u8]) -> Result<Vec<u8>> {
    let mut shortened = Component::new();
    Shortener::default()
        .parse_component(&mut shortened, Parser::new(0), component)
        .map_err(|error| anyhow!("cannot shorten the component's inner names: {error}"))?;
    Ok(shortened.finish())
}

/// Inner names, and the short ones given to them. What has a name stands before
/// whatever uses it, so a name is known when its use comes.
#[derive(Default)]
struct Shortener {
    names: HashMap<String, String>,
    /// How many components and modules are around what is being read.
    depth: u32,
}

impl Shortener {
    fn give(&mut self, name: &str) -> &str {
        let number = self.names.len();
        self.names.entry(name.to_owned()).or_insert_with(|| letters(number))
    }

    fn given<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }
}

/// Whether a core module's export is a function of an interface. Others have
/// names that wit-component gives a meaning to: `memory`, `cabi_realloc`, …
fn is_of_interface(name: &str) -> bool {
    name.contains('#')
}

/// `a` to `z`, `aa`, `ba`, … : a name of its own for each number.
fn letters(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return name;
        }
        number -= 1;
    }
}

type ReencodeResult = std::result::Result<(), reencode::Error>;

impl Reencode for Shortener {
    type Error = std::convert::Infallible;

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> ReencodeResult {
        let kind = self.export_kind(export.kind)?;
        let index = self.external_index(export.kind, export.index)?;
        let name = if is_of_interface(export.name) { self.give(export.name) } else { export.name };
        exports.export(name, kind, index);
        Ok(())
    }

    /// Names for debugging, and of the tools that took part: left out here, and
    /// below those of the component itself.
    fn parse_custom_section(
        &mut self,
        _: &mut Module,
        _: CustomSectionReader<'_>,
    ) -> ReencodeResult {
        Ok(())
    }
}

impl ReencodeComponent for Shortener {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn parse_component_import_section(
        &mut self,
        imports: &mut ComponentImportSection,
        section: ComponentImportSectionReader<'_>,
    ) -> ReencodeResult {
        for import in section {
            let import = import?;
            let ty = self.component_type_ref(import.ty)?;
            if self.depth == 0 {
                imports.import(import.name, ty);
            } else {
                imports.import(self.give(import.name.name), ty);
            }
        }
        Ok(())
    }

    fn parse_component_instance(
        &mut self,
        instances: &mut ComponentInstanceSection,
        instance: ComponentInstance<'_>,
    ) -> ReencodeResult {
        let ComponentInstance::Instantiate { component_index, args } = instance else {
            return component_utils::parse_component_instance(self, instances, instance);
        };
        let args = args.iter().map(|arg| (self.given(arg.name), arg.kind.into(), arg.index));
        instances.instantiate(component_index, args);
        Ok(())
    }

    fn parse_component_alias_section(
        &mut self,
        aliases: &mut ComponentAliasSection,
        section: ComponentAliasSectionReader<'_>,
    ) -> ReencodeResult {
        for alias in section {
            match alias? {
                ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                    aliases.alias(Alias::CoreInstanceExport {
                        instance: instance_index,
                        kind: kind.into(),
                        name: self.given(name),
                    });
                }
                other => {
                    aliases.alias(component_utils::component_alias(self, other)?);
                }
            }
        }
        Ok(())
    }

    fn parse_component_custom_section(
        &mut self,
        _: &mut Component,
        _: CustomSectionReader<'_>,
    ) -> ReencodeResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_each_is_given_once() {
        let names: Vec<String> = (0..2000).map(letters).collect();
        assert_eq!(names[..3], ["a", "b", "c"]);
        assert_eq!(names[26..28], ["aa", "ba"]);
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len());
        assert!(names.iter().all(|name| name.len() <= 3));
    }
}

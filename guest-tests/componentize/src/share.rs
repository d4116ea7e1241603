//! Each type of a component written out once.
//!
//! wit-component writes the definition of an enum or a record again in every
//! nested component that hands an interface on (see [`shorten`](crate::shorten)),
//! although the component around it has the same one. Here the second and later
//! ones become aliases of the first: about 2 KB less for the collector, whose
//! error codes stand in each of its interfaces.
//!
//! Only definitions without references to other types are shared: a type that is
//! handed on must be made of types that were handed on before it, and an alias of
//! one that refers to others would bring in those of the outer component.

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentOuterAliasKind, ComponentTypeSection,
};
use wasmparser::{
    ComponentAlias, ComponentDefinedType, ComponentExternalKind, ComponentType, ComponentTypeRef,
    ComponentTypeSectionReader, ComponentValType, Parser, Payload,
};

/// The same component, with types of its nested components taken from itself.
pub fn share_types(component: &[u8]) -> Result<Vec<u8>> {
    let mut shared = Component::new();
    Sharer::default()
        .parse_component(&mut shared, Parser::new(0), component)
        .map_err(|error| anyhow!("cannot share the component's types: {error}"))?;
    Ok(shared.finish())
}

type ReencodeResult = std::result::Result<(), reencode::Error>;

#[derive(Default)]
struct Sharer {
    /// How many components and modules are around what is being read.
    depth: u32,
    /// The types of the outermost component by index, each as its definition where
    /// it may be shared.
    types: Vec<Option<String>>,
}

impl Sharer {
    /// Takes note of the types that a section of the outermost component adds.
    fn note(&mut self, payload: &Payload<'_>) -> ReencodeResult {
        match payload {
            Payload::ComponentTypeSection(section) => {
                for ty in section.clone() {
                    self.types.push(shareable(&ty?));
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.note_others(usize::from(is_type_alias(&alias?)));
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let is_type = matches!(import?.ty, ComponentTypeRef::Type(_));
                    self.note_others(usize::from(is_type));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let is_type = export?.kind == ComponentExternalKind::Type;
                    self.note_others(usize::from(is_type));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of types that are not shared.
    fn note_others(&mut self, count: usize) {
        self.types.extend(std::iter::repeat_n(None, count));
    }

    /// The type of the outermost component that has the same definition.
    fn same(&self, ty: &ComponentType<'_>) -> Option<u32> {
        let definition = shareable(ty)?;
        let is_same = |known: &Option<String>| known.as_ref() == Some(&definition);
        self.types.iter().position(is_same).map(|index| index as u32)
    }

    /// Writes the types of a nested component, each as an alias where it can be.
    /// Types and aliases count as one sequence, so all keep their indices.
    fn write_types(
        &mut self,
        component: &mut Component,
        section: ComponentTypeSectionReader<'_>,
    ) -> ReencodeResult {
        let mut types = ComponentTypeSection::new();
        for ty in section {
            let ty = ty?;
            let Some(index) = self.same(&ty) else {
                self.parse_component_type(types.ty(), ty)?;
                continue;
            };
            if !types.is_empty() {
                component.section(&types);
                types = ComponentTypeSection::new();
            }
            let mut aliases = ComponentAliasSection::new();
            aliases.alias(Alias::Outer { kind: ComponentOuterAliasKind::Type, count: 1, index });
            component.section(&aliases);
        }
        if !types.is_empty() {
            component.section(&types);
        }
        Ok(())
    }
}

/// The definition of a type that may be shared.
fn shareable(ty: &ComponentType<'_>) -> Option<String> {
    let is_primitive = |ty: &ComponentValType| matches!(ty, ComponentValType::Primitive(_));
    let ComponentType::Defined(ty) = ty else {
        return None;
    };
    let refers_to_none = match ty {
        ComponentDefinedType::Enum(_) => true,
        ComponentDefinedType::Record(fields) => fields.iter().all(|(_, ty)| is_primitive(ty)),
        ComponentDefinedType::Variant(cases) => {
            cases.iter().all(|case| case.ty.as_ref().is_none_or(is_primitive))
        }
        _ => false,
    };
    refers_to_none.then(|| format!("{ty:?}"))
}

fn is_type_alias(alias: &ComponentAlias<'_>) -> bool {
    matches!(
        alias,
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. }
            | ComponentAlias::Outer { kind: wasmparser::ComponentOuterAliasKind::Type, .. }
    )
}

impl Reencode for Sharer {
    type Error = std::convert::Infallible;
}

impl ReencodeComponent for Sharer {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn parse_component_payload(
        &mut self,
        component: &mut Component,
        payload: Payload<'_>,
        whole_component: &[u8],
    ) -> ReencodeResult {
        match payload {
            Payload::ComponentTypeSection(section) if self.depth == 1 => {
                self.write_types(component, section)
            }
            payload => {
                if self.depth == 0 {
                    self.note(&payload)?;
                }
                component_utils::parse_component_payload(self, component, payload, whole_component)
            }
        }
    }
}

//! Sections of a component, gathered.
//!
//! For each function wit-component writes a section with its type, one that takes it out of
//! the core module, and one that lifts it: three headers for a few bytes each. Here the
//! sections of one kind become one, as far as they stand together and nothing in them
//! depends on the order of the kinds: about 300 bytes less for the collector.

use std::ops::Range;

use anyhow::{Context, Result};
use wasm_encoder::{Component, ComponentSectionId, Encode, RawSection};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentType, Parser, Payload, SectionLimited,
};

/// The order of the kinds in what is gathered: what is lifted has a type and is taken out.
const ORDER: [u8; 3] = [
    ComponentSectionId::Type as u8,
    ComponentSectionId::Alias as u8,
    ComponentSectionId::CanonicalFunction as u8,
];

/// The same component with fewer sections.
pub fn gather(component: &[u8]) -> Result<Vec<u8>> {
    let mut gathered = Component::new();
    let mut together = Together::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.context("cannot gather the component's sections")?;
        // What is inside of another module or component is a part of its section.
        match payload {
            Payload::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ if depth > 0 => {
                if matches!(
                    payload,
                    Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
                ) {
                    depth += 1;
                }
                continue;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            _ => {}
        }
        let Some((id, range)) = payload.as_section() else { continue };
        let data = bytes(component, range);
        match payload {
            Payload::ComponentTypeSection(types) if has_no_resources(types.clone())? => {
                together.add(id, types.count(), items(&types, component));
            }
            Payload::ComponentAliasSection(aliases) if are_core_exports(aliases.clone())? => {
                together.add(id, aliases.count(), items(&aliases, component));
            }
            Payload::ComponentCanonicalSection(functions) if are_lifted(functions.clone())? => {
                together.add(id, functions.count(), items(&functions, component));
            }
            _ => {
                together.write(&mut gathered);
                gathered.section(&RawSection { id, data });
            }
        }
    }
    together.write(&mut gathered);
    Ok(gathered.finish())
}

/// Sections that stand together: of each kind how many items, and their bytes.
#[derive(Default)]
struct Together([(u32, Vec<u8>); ORDER.len()]);

impl Together {
    fn add(&mut self, id: u8, count: u32, items: &[u8]) {
        let kind =
            ORDER.iter().position(|&kind| kind == id).expect("only these kinds are gathered");
        let (all, bytes) = &mut self.0[kind];
        *all += count;
        bytes.extend_from_slice(items);
    }

    fn write(&mut self, component: &mut Component) {
        for (id, (count, items)) in ORDER.into_iter().zip(std::mem::take(&mut self.0)) {
            if count > 0 {
                let mut data = Vec::new();
                count.encode(&mut data);
                data.extend(items);
                component.section(&RawSection { id, data: &data });
            }
        }
    }
}

/// A section's bytes behind its count.
fn items<'a, T>(section: &SectionLimited<'a, T>, component: &'a [u8]) -> &'a [u8] {
    let mut count = Vec::new();
    section.count().encode(&mut count);
    &bytes(component, section.range())[count.len()..]
}

fn bytes(component: &[u8], range: Range<u64>) -> &[u8] {
    &component[range.start as usize..range.end as usize]
}

/// A resource may name a core function, whose number depends on what stands before.
fn has_no_resources(types: SectionLimited<'_, ComponentType<'_>>) -> Result<bool> {
    all(types, |ty| !matches!(ty, ComponentType::Resource { .. }))
}

/// Others may be types that types refer to.
fn are_core_exports(aliases: SectionLimited<'_, ComponentAlias<'_>>) -> Result<bool> {
    all(aliases, |alias| matches!(alias, ComponentAlias::CoreInstanceExport { .. }))
}

/// Others make core functions, as aliases do.
fn are_lifted(functions: SectionLimited<'_, CanonicalFunction>) -> Result<bool> {
    all(functions, |function| matches!(function, CanonicalFunction::Lift { .. }))
}

fn all<'a, T: wasmparser::FromReader<'a>>(
    section: SectionLimited<'a, T>,
    holds: impl Fn(&T) -> bool,
) -> Result<bool> {
    for item in section {
        if !holds(&item?) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{ComponentImportSection, ComponentTypeRef, ComponentTypeSection};
    use wasmparser::Validator;

    use super::*;

    /// How many types each type section has.
    fn types_by_section(component: &[u8]) -> Vec<u32> {
        Validator::new().validate_all(component).unwrap();
        let payloads = Parser::new(0).parse_all(component);
        payloads
            .filter_map(|payload| match payload.unwrap() {
                Payload::ComponentTypeSection(types) => Some(types.count()),
                _ => None,
            })
            .collect()
    }

    fn with_type(component: &mut Component) {
        let mut types = ComponentTypeSection::new();
        types.function().params([("a", wasm_encoder::PrimitiveValType::U32)]).result(None);
        component.section(&types);
    }

    #[test]
    fn sections_of_a_kind_that_stand_together_become_one() {
        let mut component = Component::new();
        (0..3).for_each(|_| with_type(&mut component));
        let component = component.finish();
        assert_eq!(types_by_section(&component), [1, 1, 1]);
        assert_eq!(types_by_section(&gather(&component).unwrap()), [3]);
    }

    #[test]
    fn what_stands_between_them_keeps_its_place() {
        let mut component = Component::new();
        (0..2).for_each(|_| with_type(&mut component));
        let mut imports = ComponentImportSection::new();
        imports.import("f", ComponentTypeRef::Func(1));
        component.section(&imports);
        (0..2).for_each(|_| with_type(&mut component));
        let component = component.finish();
        assert_eq!(types_by_section(&gather(&component).unwrap()), [2, 2]);
    }
}

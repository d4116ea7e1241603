//! A trace: calls and their answers, with objects named by their order of allocation.
//!
//! So a trace can be replayed on a collector that gives other addresses, and must bring equal
//! answers there, to the last released handle. As JSON it is an array of steps, `[name, operands,
//! answer]`. An operand is a number, or `[object, offset]`. An answer is a list of operands, with
//! `"new"` for an object's first appearance, or an object `{code, value, at}`.
//! `guest-tests/jco/replay.mjs` reads that.

use serde_json::{Value, json};

use crate::call::{Answer, Code, Failure, Name};
use crate::graph::{Graph, untagged};
use crate::subject::Subject;

/// A word of a call or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A number.
    Number(u32),
    /// An object's number, and an offset in bytes from its address.
    Object(u32, u32),
    /// The address of an object that was not seen before.
    New,
}

/// A call and its answer.
#[derive(Clone, Debug)]
pub struct Step {
    name: Name,
    operands: Vec<Operand>,
    answer: Result<Vec<Operand>, (Code, Operand, u32)>,
}

/// A program as it ran.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Its steps.
    pub steps: Vec<Step>,
}

/// Returns true if a word of a call may be an address.
fn may_be_reference(name: Name, index: usize) -> bool {
    match name {
        Name::Get | Name::ReadBytes | Name::WriteBytes | Name::Push | Name::LeaveScope => {
            index == 0
        }
        Name::Pin | Name::Unpin | Name::Register | Name::HandleOf | Name::SetWeight => index == 0,
        Name::Dispose | Name::IsObject | Name::SizeOf | Name::InlinePush => index == 0,
        Name::Set | Name::WriteWords => index != 1,
        Name::Create => index > 1,
        Name::ReadObjects | Name::SetRoot | Name::SetRange => index > 0,
        Name::WriteMany => index % 3 != 1,
        Name::RegisterMany => index.is_multiple_of(4),
        Name::PushMany | Name::Build => true,
        _ => false,
    }
}

fn gives_new_objects(name: Name) -> bool {
    matches!(
        name,
        Name::Allocate
            | Name::AllocateLeaf
            | Name::AllocateSmall
            | Name::InlineSmall
            | Name::InlineLeaf
            | Name::AllocateAligned
            | Name::Create
            | Name::Wrap
            | Name::WrapMany
    )
}

fn named(graph: &Graph, word: u32) -> Operand {
    match graph.containing(word) {
        Some((start, object)) => Operand::Object(object.id, word - start),
        None => Operand::Number(word),
    }
}

impl Trace {
    /// Notes a call. The graph does not have the call's outcome yet.
    pub fn note(&mut self, graph: &Graph, name: Name, words: &[u32], answer: &Answer) {
        let operands = words.iter().enumerate().map(|(index, &word)| {
            if may_be_reference(name, index) { named(graph, word) } else { Operand::Number(word) }
        });
        let answer = match answer {
            Ok(words) if gives_new_objects(name) => Ok(vec![Operand::New; words.len()]),
            Ok(words) => Ok(words.iter().map(|&word| answered(graph, name, word)).collect()),
            Err(Failure { code, value, at }) => {
                let value = match code {
                    Code::InvalidRef
                    | Code::AlreadyRegistered
                    | Code::NotRegistered
                    | Code::NotPinned => named(graph, *value),
                    _ => Operand::Number(*value),
                };
                Err((*code, value, *at))
            }
        };
        self.steps.push(Step { name, operands: operands.collect(), answer });
    }

    /// Replays the trace on a subject. Errors: the first step whose answer differs, in words.
    pub fn replay(&self, subject: &mut dyn Subject) -> Result<(), String> {
        let mut addresses: Vec<u32> = Vec::new();
        let resolve = |addresses: &[u32], operand: Operand| match operand {
            Operand::Number(number) => number,
            Operand::Object(id, offset) => addresses[id as usize].wrapping_add(offset),
            Operand::New => unreachable!("no call has a new object as its operand"),
        };
        for (number, step) in self.steps.iter().enumerate() {
            let words: Vec<u32> =
                step.operands.iter().map(|&operand| resolve(&addresses, operand)).collect();
            let pushed = match (step.name, &step.answer, &words[..]) {
                (Name::Drain, Ok(drained), &[most]) => {
                    let drained: Vec<u32> =
                        drained.iter().map(|&word| resolve(&addresses, word)).collect();
                    subject.take_pushed(&drained, most)
                }
                _ => None,
            };
            let given = pushed.unwrap_or_else(|| subject.call(step.name, &words));
            let mut expected = match &step.answer {
                Ok(operands) => Ok(operands.clone()),
                Err((code, value, at)) => {
                    let value = resolve(&addresses, *value);
                    Err(Failure { code: *code, value, at: *at })
                }
            };
            if let (Ok(operands), Ok(words)) = (&mut expected, &given) {
                for (operand, &word) in operands.iter_mut().zip(words) {
                    if *operand == Operand::New {
                        *operand = Operand::Object(addresses.len() as u32, 0);
                        addresses.push(word);
                    }
                }
            }
            let expected = expected.map(|operands| {
                operands.iter().map(|&operand| resolve(&addresses, operand)).collect::<Vec<u32>>()
            });
            // The core door gives no numbers here, and a component that pushes handles has others.
            let is_silent = matches!(step.name, Name::Pin | Name::Unpin | Name::Close)
                && given == Ok(Vec::new())
                && expected.is_ok();
            if given != expected && !is_silent {
                return Err(format!(
                    "step {number}, {} {}: {}",
                    step.name.text(),
                    excerpt(&words, 0),
                    difference(&given, &expected)
                ));
            }
        }
        Ok(())
    }

    /// Returns the trace as JSON.
    pub fn to_json(&self) -> Value {
        let operand = |operand: Operand| match operand {
            Operand::Number(number) => json!(number),
            Operand::Object(id, offset) => json!([id, offset]),
            Operand::New => json!("new"),
        };
        let list = |operands: &[Operand]| -> Value {
            operands.iter().map(|&each| operand(each)).collect()
        };
        let steps = self.steps.iter().map(|step| {
            let answer = match &step.answer {
                Ok(operands) => list(operands),
                Err((code, value, at)) => {
                    json!({ "code": code.text(), "value": operand(*value), "at": at })
                }
            };
            json!([step.name.text(), list(&step.operands), answer])
        });
        steps.collect()
    }
}

/// Names a word of an answer, which may be a reference. A reference that the graph does not have is
/// of an object that a build program made.
fn answered(graph: &Graph, name: Name, word: u32) -> Operand {
    match name {
        Name::Pop | Name::InlinePop | Name::Root
            if word != 0 && !graph.objects.contains_key(&untagged(word)) =>
        {
            Operand::New
        }
        Name::Pop | Name::InlinePop | Name::Root | Name::Get | Name::ReadObjects => {
            named(graph, word)
        }
        _ => Operand::Number(word),
    }
}

/// Returns some words as a person can read them, from one on.
fn excerpt(words: &[u32], from: usize) -> String {
    const SHOWN: usize = 8;
    let shown = &words[from.min(words.len())..(from + SHOWN).min(words.len())];
    let more = if words.len() > from + SHOWN { ", …" } else { "" };
    format!("{shown:x?}{more}")
}

/// Describes how two answers differ, from the first word that does.
fn difference(given: &Answer, expected: &Answer) -> String {
    let told = |answer: &Answer, from: usize| match answer {
        Ok(words) => excerpt(words, from),
        Err(failure) => failure.to_string(),
    };
    let from = match (given, expected) {
        (Ok(given), Ok(expected)) => given.iter().zip(expected).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    format!("from word {from} on {}, and not {}", told(given, from), told(expected, from))
}

//! Rust source as words, for the checks that look for names in it.
//!
//! A full parser would take longer to build than all of this tool. Words, with
//! comments and literals left out and each with its line, are enough to find
//! paths and keywords; what a macro makes of them is not seen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A source file.
pub struct Source {
    /// From the repository's folder on, with `/` between its parts.
    pub path: String,
    /// As it is.
    pub text: String,
}

/// An identifier, a number or a punctuation character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What it is.
    pub text: &'a str,
    /// Where it stands, from 1.
    pub line: usize,
}

/// Reads every `.rs` file under a folder of the repository, in order of path.
pub fn read_all(root: &Path, folder: &str) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths)?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            Ok(Source { path: parts.join("/"), text })
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "node_modules" && name != "target" {
                collect(&path, paths)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The words of a source text.
pub fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest) {
            Some(length) => length,
            None => {
                let length = word_length(rest, first);
                if !first.is_whitespace() {
                    words.push(Word { text: &rest[..length], line });
                }
                length
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

/// The words that are part of the program itself: without the items under
/// `#[cfg(test)]`.
pub fn program_words(text: &str) -> Vec<Word<'_>> {
    let words = words(text);
    let mut kept = Vec::new();
    let mut index = 0;
    while index < words.len() {
        if begins_test_item(&words[index..]) {
            index += item_length(&words[index..]);
        } else {
            kept.push(words[index]);
            index += 1;
        }
    }
    kept
}

fn begins_test_item(words: &[Word<'_>]) -> bool {
    let texts = |count: usize| words.iter().take(count).map(|word| word.text);
    texts(7).eq(["#", "[", "cfg", "(", "test", ")", "]"])
        || (texts(6).eq(["#", "[", "cfg", "(", "all", "("])
            && words.get(6).is_some_and(|word| word.text == "test"))
}

/// How many words an item takes: to its `;`, or to the end of its braces.
fn item_length(words: &[Word<'_>]) -> usize {
    let mut depth = 0;
    for (index, word) in words.iter().enumerate() {
        match word.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    // A `use` goes on to its semicolon.
                    let semicolon = words.get(index + 1).is_some_and(|next| next.text == ";");
                    return index + 1 + usize::from(semicolon);
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    words.len()
}

/// The length of the comment or literal at the start of `text`, if one is there.
fn skipped(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_length(text));
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r')
        && let Some(length) = raw_string_length(raw)
    {
        return Some(prefix + 1 + length);
    }
    if let Some(body) = unprefixed.strip_prefix('"') {
        return Some(prefix + 1 + quoted_length(body, '"'));
    }
    if text.starts_with('\'') || text.starts_with("b'") {
        return char_length(unprefixed).map(|length| prefix + length);
    }
    None
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `#*"…"#*`, where `text` begins with that.
fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let body = text[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(hashes + 1 + end)
}

/// The length of a literal's rest, its closing quote included.
fn quoted_length(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// The length of a character literal; none where the quote begins a lifetime.
fn char_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        return Some(1 + quoted_length(body, '\''));
    }
    let first = body.chars().next()?;
    body[first.len_utf8()..].starts_with('\'').then_some(2 + first.len_utf8())
}

fn word_length(text: &str, first: char) -> usize {
    if !is_name(first) {
        return first.len_utf8();
    }
    text.find(|character| !is_name(character)).unwrap_or(text.len())
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: Vec<Word<'_>>) -> Vec<&str> {
        words.iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_words() {
        let text = r####"a /* b /* c */ d */ e // f
            "g \" h" b"i" r#"j " k"# 'l' '\'' '\u{1F600}' b'm' n"####;
        assert_eq!(texts(words(text)), ["a", "e", "n"]);
    }

    #[test]
    fn lifetimes_and_names_that_look_like_prefixes_are_words() {
        assert_eq!(
            texts(words("fn bar<'a>(r: &'a b)")),
            ["fn", "bar", "<", "'", "a", ">", "(", "r", ":", "&", "'", "a", "b", ")"]
        );
    }

    #[test]
    fn words_know_their_lines() {
        let text = "a\n/* x\n */ b\n\"c\nd\" e";
        let lines: Vec<usize> = words(text).iter().map(|word| word.line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn what_is_only_for_tests_is_left_out() {
        let text = "a; #[cfg(test)] mod tests { use b; fn c() { d } } e;
            #[cfg(test)] mod tests; f; #[cfg(all(test, unix))] use g::{h, i}; j";
        assert_eq!(texts(program_words(text)), ["a", ";", "e", ";", "f", ";", "j"]);
    }
}

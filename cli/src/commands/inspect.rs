//! `tether inspect`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser};
use serde_json::{Map, Value, json};

use crate::files::read;
use crate::inspect::{Kind, Summary, inspect};

const HELP: &str = "\
Prints the size of components and core modules, the memory that a fresh instance takes,
and the names that they import and export.

Usage: tether inspect FILE.wasm... [options]

Options:
      --table  print a line for each file instead: its bytes, its bytes after
               gzip -9, its initial memory in pages of 64 KiB, and its name
      --json   print one JSON object instead
  -h, --help   print this
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Table,
    Json,
}

/// Runs the command.
pub(super) fn run(parser: Parser) -> Result<()> {
    let Some((files, form)) = parse(parser)? else {
        print!("{HELP}");
        return Ok(());
    };
    let summaries = files
        .into_iter()
        .map(|file| {
            let name = file.display().to_string();
            let summary = inspect(&read(&file)?).with_context(|| format!("inspecting {name}"))?;
            Ok((name, summary))
        })
        .collect::<Result<Vec<_>>>()?;
    match form {
        Form::Text => print!("{}", texts(&summaries).join("\n")),
        Form::Table => print!("{}", table(&summaries)),
        Form::Json => println!("{}", to_json(summaries)),
    }
    Ok(())
}

fn texts(summaries: &[(String, Summary)]) -> Vec<String> {
    summaries.iter().map(|(name, summary)| text(name, summary)).collect()
}

fn text(name: &str, summary: &Summary) -> String {
    let Summary { size_bytes, gzip_bytes, memory_pages, .. } = summary;
    let kind = match summary.kind {
        Kind::Module => "a core module",
        Kind::Component => "a component",
    };
    let pages = if *memory_pages == 1 { "page" } else { "pages" };
    let mut text = format!(
        "{name}: {kind}\n\
         size     {size_bytes} bytes, {gzip_bytes} with gzip -9\n\
         memory   {memory_pages} {pages} of 64 KiB at the start\n"
    );
    for (title, names) in [("imports", &summary.imports), ("exports", &summary.exports)] {
        let mut title = title;
        for name in names {
            text += &format!("{title:<9}{name}\n");
            title = "";
        }
        if names.is_empty() {
            text += &format!("{title:<9}nothing\n");
        }
    }
    text
}

fn table(summaries: &[(String, Summary)]) -> String {
    summaries
        .iter()
        .map(|(name, summary)| {
            let Summary { size_bytes, gzip_bytes, memory_pages, .. } = summary;
            format!("{size_bytes:>9} {gzip_bytes:>9} {memory_pages:>5}  {name}\n")
        })
        .collect()
}

fn to_json(summaries: Vec<(String, Summary)>) -> Value {
    let files = summaries.into_iter().map(|(name, summary)| {
        let value = json!({
            "component": summary.kind == Kind::Component,
            "size_bytes": summary.size_bytes,
            "gzip_bytes": summary.gzip_bytes,
            "memory_pages": summary.memory_pages,
            "imports": summary.imports,
            "exports": summary.exports,
        });
        (name, value)
    });
    Value::Object(files.collect::<Map<_, _>>())
}

/// The files and the form; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<(Vec<PathBuf>, Form)>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut form = Form::Text;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("table") => form = Form::Table,
            Arg::Long("json") => form = Form::Json,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(file) => files.push(file.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(!files.is_empty(), "no file is given; see `tether inspect --help`");
    Ok(Some((files, form)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            kind: Kind::Component,
            size_bytes: 1234,
            gzip_bytes: 567,
            memory_pages: 2,
            imports: Vec::new(),
            exports: vec!["a".to_owned(), "b".to_owned()],
        }
    }

    #[test]
    fn a_summary_is_for_people_for_tables_and_for_scripts() {
        assert_eq!(
            text("x.wasm", &summary()),
            "x.wasm: a component\n\
             size     1234 bytes, 567 with gzip -9\n\
             memory   2 pages of 64 KiB at the start\n\
             imports  nothing\n\
             exports  a\n         b\n"
        );
        let lines = table(&[("a b.wasm".to_owned(), summary())]);
        assert_eq!(lines, "     1234       567     2  a b.wasm\n");
        let value = to_json(vec![("x.wasm".to_owned(), summary())]);
        assert_eq!(value["x.wasm"]["gzip_bytes"], 567);
        assert_eq!(value["x.wasm"]["exports"], json!(["a", "b"]));
    }

    #[test]
    fn files_and_the_form_are_understood() {
        let parsed = |words: &[&str]| parse(Parser::from_args(words));
        let files: Vec<PathBuf> = vec!["a.wasm".into(), "b.wasm".into()];
        assert_eq!(
            parsed(&["a.wasm", "--table", "b.wasm"]).unwrap(),
            Some((files.clone(), Form::Table))
        );
        assert_eq!(parsed(&["a.wasm", "b.wasm", "--json"]).unwrap(), Some((files, Form::Json)));
        assert!(parsed(&["--json"]).unwrap_err().to_string().contains("no file"));
        assert!(parsed(&["a.wasm", "--fast"]).unwrap_err().to_string().contains("--fast"));
    }
}

//! Finds and runs Binaryen's tools.
//!
//! The tools are programs, or, in npm's package `binaryen`, scripts for Node.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The environment variable that names the folder.
pub const VARIABLE: &str = "TETHER_BINARYEN";

/// The features that the tools may find in a module, and use themselves. Component hosts have
/// all of them.
const FEATURES: [&str; 10] = [
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-simd",
    "--enable-tail-call",
    "--enable-extended-const",
    "--enable-bulk-memory-opt",
];

/// The folders that may hold the tools.
#[derive(Debug)]
pub struct Binaryen {
    folders: Vec<PathBuf>,
    /// Whether the user named the folder.
    is_named: bool,
}

impl Binaryen {
    /// The tools in the folder that is given, or that `TETHER_BINARYEN` names, and in no other
    /// folder. If neither names a folder: the tools of npm's packages in the artifacts' folders
    /// (`cargo xtask build` puts one there), and then those in the folders of PATH.
    pub fn find(given: Option<&Path>, artifacts: &[PathBuf]) -> Self {
        let variable = env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
        if let Some(folder) = given.map(Path::to_path_buf).or(variable.map(PathBuf::from)) {
            // A package has its programs in its folder `bin`.
            let bin = folder.join("bin");
            return Binaryen { folders: vec![folder, bin], is_named: true };
        }
        let mut folders: Vec<PathBuf> =
            artifacts.iter().flat_map(|folder| npm_packages(&folder.join("npm"))).collect();
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Binaryen { folders, is_named: false }
    }

    /// One of the tools, with the features that a module may use.
    pub fn tool(&self, name: &str) -> Result<Tool> {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        // npm's scripts have the same name everywhere.
        let candidates = |folder: &PathBuf| [folder.join(&file), folder.join(name)];
        let Some(path) = self.folders.iter().flat_map(candidates).find(|path| path.is_file())
        else {
            bail!("{}", self.missing(name));
        };
        let mut command = if is_node_script(&path)? {
            let mut command = Command::new("node");
            command.arg(&path);
            command
        } else {
            Command::new(&path)
        };
        command.args(FEATURES);
        Ok(Tool { path, command })
    }

    fn missing(&self, name: &str) -> String {
        const HOW: &str = "`npm install binaryen` (and --binaryen node_modules/binaryen/bin), your \
             distribution's package `binaryen`, or a release of the Binaryen project";
        match &*self.folders {
            [folder, ..] if self.is_named => format!(
                "there is no {name} in {}, which --binaryen or {VARIABLE} names as the folder of \
                 Binaryen's tools; they come with {HOW}",
                folder.display()
            ),
            _ => format!(
                "{name}, a tool of Binaryen, is not on the PATH. Get it with {HOW}; name its \
                 folder with --binaryen DIR or {VARIABLE}"
            ),
        }
    }
}

/// One tool, and its first arguments.
pub struct Tool {
    path: PathBuf,
    /// The command, to which a caller adds arguments.
    pub command: Command,
}

impl Tool {
    /// Runs the tool to its end. All that it prints goes to stderr, because stdout is for
    /// results alone.
    pub fn run(mut self, doing: &str) -> Result<()> {
        let status = self
            .command
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .status()
            .with_context(|| self.not_started(doing))?;
        ensure!(status.success(), "{doing} failed ({status}); what went wrong stands above");
        Ok(())
    }

    fn not_started(&self, doing: &str) -> String {
        let path = self.path.display();
        if self.command.get_program() == "node" {
            format!(
                "{doing}: {path} is a script for Node, and `node` cannot be started; install \
                 Node 20 or later, or use a Binaryen with programs of its own"
            )
        } else {
            format!("{doing}: cannot start {path}")
        }
    }
}

/// Checks a level of `wasm-opt` that a command line gives.
pub fn level(text: &str) -> Result<String> {
    ensure!(
        ["0", "1", "2", "3", "4", "s", "z"].contains(&text),
        "-O takes 0 to 4, s or z, not `{text}`"
    );
    Ok(text.to_owned())
}

/// The folders with the tools of npm's packages that `folder` has.
fn npm_packages(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_binaryen =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("binaryen-");
    let mut packages: Vec<PathBuf> = entries
        .flatten()
        .filter(is_binaryen)
        .map(|entry| entry.path().join("node_modules/binaryen/bin"))
        .collect();
    packages.sort();
    packages
}

/// Whether a file's first line says that Node is to run it.
fn is_node_script(path: &Path) -> Result<bool> {
    const LINE_BYTES: u64 = 128;
    let mut line = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    BufReader::new(file.take(LINE_BYTES)).read_until(b'\n', &mut line)?;
    Ok(line.starts_with(b"#!") && String::from_utf8_lossy(&line).contains("node"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, with a file in it.
    fn folder_with(test: &str, file: &str, content: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("tether-{test}-{}", std::process::id()));
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        folder
    }

    #[test]
    fn scripts_of_npm_are_run_by_node_and_programs_are_run_themselves() {
        for (name, content, is_script) in
            [("script", "#!/usr/bin/env node\nvar x", true), ("program", "\x7fELF\0node\n", false)]
        {
            let folder = folder_with(name, "bin/wasm-opt", content);
            let tool = Binaryen::find(Some(&folder), &[]).tool("wasm-opt").unwrap();
            assert_eq!(tool.command.get_program() == "node", is_script, "{name}");
            let message = tool.not_started("optimising");
            assert_eq!(message.contains("install Node"), is_script, "{message}");
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn the_package_that_the_repository_fetches_is_found() {
        let file = "npm/binaryen-1.2.3/node_modules/binaryen/bin/wasm-tool-of-a-test";
        let folder = folder_with("npm", file, "#!/usr/bin/env node\n");
        let binaryen = Binaryen::find(None, std::slice::from_ref(&folder));
        assert_eq!(binaryen.tool("wasm-tool-of-a-test").unwrap().path, folder.join(file));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_tool_that_is_missing_is_told_with_how_to_get_it() {
        let told = |binaryen: Binaryen| binaryen.tool("wasm-none").err().unwrap().to_string();
        let nowhere = told(Binaryen { folders: Vec::new(), is_named: false });
        let named = told(Binaryen::find(Some(Path::new("/no/where")), &[]));
        for message in [&nowhere, &named] {
            for word in ["wasm-none", "npm install binaryen", "--binaryen", VARIABLE] {
                assert!(message.contains(word), "{word}: {message}");
            }
        }
        assert!(named.contains("/no/where"), "{named}");
    }
}

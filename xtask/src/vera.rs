//! `cargo xtask vera`: programs of the language Vera, run on the collector by Vera's
//! own compiler and host.
//!
//! The Python package in `guest-tests/vera` does the work. This command gives it a virtual
//! environment with its packages from PyPI, and the collector's core module as text. Both are
//! made once, and again only if something that they are made from has changed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::cli::COLLECTOR;
use crate::process::{progress, run, run_visibly};
use crate::stamp::make_if_changed;
use crate::workspace::Workspace;
use crate::{build, npm};

const HELP: &str = "\
Runs programs of the language Vera (PyPI: veralang) on the collector. Vera's compiler
and host stay as they are. Between the two, Vera's collector is taken out of each
program, and Tether's core module is put in (docs/guide/wat-compiler.md).

Usage: cargo xtask vera [FILE.vera] [options] [-- ARGS...]

With a FILE it runs the program. Without a FILE, and without --bench or --test, it sets
everything up and prints the path.

Options:
      --entry NAME     the public function to call (main); ARGS are its
                       arguments
      --own            run it on Vera's own collector instead
      --statistics     then print the collector's figures, as JSON on stderr
      --bench          measure: FILE, or the programs of the guide's table, on
                       Vera's own collector and on Tether in turn; processor time
                       without compiling, medians, and the peak of the heap.
                       Without a FILE that takes about 6 minutes
      --rows TEXT      only rows of the table whose name holds this
      --repeat N       how often each is measured (5)
      --test           run the package's tests
      --limit NAME=N   shadow-stack-slots (1048576; Vera's own has 4096),
                       heap-bytes (0: as many as fit below 2 GiB), wrap-entries
                       (67108864; Vera's own has 4096), handle-floor (1024),
                       growth-percent (300; how much the heap grows between
                       collections, in percent of the live bytes; 0: the
                       collector's own sizing),
                       stress (0: collect at every so many allocations).
                       Not with --own
      --json           print one JSON object instead
  -h, --help           print this

Needs Python 3.11 or later, with venv and pip, and Node 20 with npm. The first time
makes a virtual environment of 155 MB under the build folder, from PyPI.

The exit code is that of the program, 0 for success, 1 for an error.
";

const PACKAGE: &str = "guest-tests/vera";
/// Sources of the collector's text, beside the core module itself.
const TEXT_SOURCES: [&str; 3] = ["glue.wat", "runtime.py", "sexpr.py"];
const LIMITS: [&str; 6] = [
    "shadow-stack-slots",
    "heap-bytes",
    "wrap-entries",
    "handle-floor",
    "growth-percent",
    "stress",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Run,
    Bench,
    Test,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    mode: Mode,
    file: Option<PathBuf>,
    /// The package's own options, in its own words.
    words: Vec<String>,
    arguments: Vec<String>,
}

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(file) = &options.file {
        fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let workspace = Workspace::find();
    build::build_core(&workspace)?;
    let environment = Environment::set_up(&workspace)?;
    let is_idle = options.file.is_none() && options.mode == Mode::Run;
    if is_idle {
        println!("Vera on Tether: {} -m tether_vera", workspace.display(&environment.python()));
        return Ok(ExitCode::SUCCESS);
    }
    let ran = environment.package().args(package_words(&options)).status();
    let code = ran.context("cannot start the virtual environment's Python")?.code();
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Runs the package's tests, with the core module as it was last built.
pub fn test(workspace: &Workspace) -> Result<()> {
    let environment = Environment::set_up(workspace)?;
    progress("testing Vera programs on the collector");
    run_visibly(environment.package().arg("test"), "testing Vera programs")
}

/// The package's command line.
fn package_words(options: &Options) -> Vec<String> {
    let command = match options.mode {
        Mode::Run => "run",
        Mode::Bench => "bench",
        Mode::Test => "test",
    };
    let mut words = vec![command.to_owned()];
    words.extend(options.words.iter().cloned());
    if let Some(file) = &options.file {
        words.push("--".to_owned());
        words.push(file.display().to_string());
        words.extend(options.arguments.iter().cloned());
    }
    words
}

/// The virtual environment, complete.
struct Environment {
    folder: PathBuf,
}

impl Environment {
    fn set_up(workspace: &Workspace) -> Result<Self> {
        let environment = Environment { folder: workspace.artifacts().join("vera/venv") };
        environment.install(workspace)?;
        environment.prepare(workspace)?;
        Ok(environment)
    }

    fn python(&self) -> PathBuf {
        self.folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
    }

    /// The package's command, without the user's Python path, which would come first.
    fn package(&self) -> Command {
        let mut command = self.clean_python();
        command.args(["-m", "tether_vera"]);
        command
    }

    fn clean_python(&self) -> Command {
        let mut command = Command::new(self.python());
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        command.env_remove("TETHER_VERA_RUNTIME");
        command
    }

    /// Makes the environment, unless nothing that it is made from has changed.
    fn install(&self, workspace: &Workspace) -> Result<()> {
        let package = workspace.root().join(PACKAGE);
        let requirements = package.join("requirements.txt");
        let manifest = package.join("pyproject.toml");
        make_if_changed(&self.folder, &[&requirements, &manifest], &package, || {
            self.install_anew(&package, &requirements)
        })
    }

    fn install_anew(&self, package: &Path, requirements: &Path) -> Result<()> {
        let python = find_python()?;
        progress("setting up Vera in a virtual environment (155 MB, from PyPI): about a minute");
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        run(
            Command::new(python).args(["-m", "venv"]).arg(&self.folder),
            "making a virtual environment (on Debian it needs the package python3-venv)",
        )?;
        let pip = || {
            let mut command = self.clean_python();
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            command
        };
        run(pip().arg("--requirement").arg(requirements), "installing Vera with pip")?;
        run(
            pip().args(["--no-deps", "--no-build-isolation", "--editable"]).arg(package),
            "installing tether_vera with pip",
        )
    }

    /// Makes the collector's text, unless nothing that it is made from has changed.
    fn prepare(&self, workspace: &Workspace) -> Result<()> {
        let core = workspace.artifact(COLLECTOR);
        let sources = workspace.root().join(PACKAGE).join("tether_vera");
        let mut files = vec![core.clone()];
        files.extend(TEXT_SOURCES.map(|name| sources.join(name)));
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let text = self.folder.join("share/tether/runtime.wat");
        make_if_changed(&text, &files, &"", || {
            let disassembled = workspace.artifact("vera/core.wat");
            run(
                Command::new("node")
                    .arg(npm::fetch_binaryen(workspace, "wasm-dis")?)
                    // With all features it names the table of an indirect call.
                    .arg("--all-features")
                    .arg(&core)
                    .arg("-o")
                    .arg(&disassembled),
                "writing the core module as text with wasm-dis",
            )?;
            run(
                self.package().arg("prepare").arg(&disassembled).arg("--output").arg(&text),
                "preparing the collector's text",
            )
        })
    }
}

/// A Python that Vera can use.
fn find_python() -> Result<PathBuf> {
    let named = env::var_os("PYTHON").map(PathBuf::from);
    let usual = ["python3", "python3.13", "python3.12", "python3.11", "python"].map(PathBuf::from);
    for python in named.into_iter().chain(usual) {
        let asked = Command::new(&python)
            .args(["-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"])
            .output();
        if asked.is_ok_and(|ran| ran.status.success()) {
            return Ok(python);
        }
    }
    bail!(
        "Vera needs Python 3.11 or later, with venv; none of python3, python3.11 to 3.13 and \
         python is one. Install it, or name it in the environment variable PYTHON"
    )
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("bench") => choose(&mut options, Mode::Bench)?,
            Arg::Long("test") => choose(&mut options, Mode::Test)?,
            Arg::Long("own") => options.words.push("--own".to_owned()),
            Arg::Long("statistics") => options.words.push("--statistics".to_owned()),
            Arg::Long("json") => options.words.push("--json".to_owned()),
            Arg::Long(name @ ("entry" | "rows" | "repeat")) => {
                let name = format!("--{name}");
                options.words.extend([name, parser.value()?.string()?]);
            }
            Arg::Long("limit") => {
                options.words.push(limit(&parser.value()?.string()?)?);
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(file) if options.file.is_none() => options.file = Some(file.into()),
            Arg::Value(argument) => options.arguments.push(argument.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let uses =
        |names: &[&str]| options.words.iter().find(|word| names.contains(&word.as_str())).cloned();
    let misplaced = match options.mode {
        Mode::Run if options.file.is_none() => options.words.first().cloned(),
        Mode::Run => uses(&["--rows", "--repeat"]),
        Mode::Bench => uses(&["--own", "--statistics"]),
        Mode::Test => options.words.first().cloned(),
    };
    if let Some(word) = misplaced {
        bail!("{word} does not go with what is asked for; see `cargo xtask vera --help`");
    }
    ensure!(options.mode != Mode::Test || options.file.is_none(), "--test takes no file");
    ensure!(
        options.file.as_deref() != Some(Path::new("-")),
        "`-` is no file: Vera compiles a file, so write the program to one"
    );
    let is_limited = options.words.iter().any(|word| is_limit(word));
    ensure!(
        !is_limited || uses(&["--own"]).is_none(),
        "--limit sets a limit of Tether's, and Vera's own collector has none that can be set: \
         leave out --limit or --own"
    );
    Ok(Some(options))
}

fn choose(options: &mut Options, mode: Mode) -> Result<()> {
    ensure!(options.mode == Mode::Run, "--bench and --test do not go together");
    options.mode = mode;
    Ok(())
}

/// A limit, in the package's words.
fn limit(text: &str) -> Result<String> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("--limit takes NAME=N, not `{text}`");
    };
    ensure!(LIMITS.contains(&name), "there is no limit `{name}`: {} are", LIMITS.join(", "));
    value.parse::<u32>().with_context(|| format!("{name} takes a number, not `{value}`"))?;
    Ok(format!("--{name}={value}"))
}

/// Whether a word of the package's is a limit.
fn is_limit(word: &str) -> bool {
    let name = word.strip_prefix("--").and_then(|rest| rest.split_once('='));
    name.is_some_and(|(name, _)| LIMITS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options> {
        let parser = Parser::from_args(words.iter().map(|word| word.to_string()));
        parse(parser).map(Option::unwrap)
    }

    #[test]
    fn a_program_is_run_with_its_arguments() {
        let options =
            parsed(&["a.vera", "--entry", "f", "--limit", "stress=7", "--json", "--", "-5", "b"])
                .unwrap();
        assert_eq!(
            package_words(&options),
            ["run", "--entry", "f", "--stress=7", "--json", "--", "a.vera", "-5", "b"]
        );
    }

    #[test]
    fn benchmark_and_tests_need_no_program() {
        let options = parsed(&["--bench", "--repeat", "3", "--rows=map", "--json"]).unwrap();
        assert_eq!(package_words(&options), ["bench", "--repeat", "3", "--rows", "map", "--json"]);
        assert_eq!(package_words(&parsed(&["--test"]).unwrap()), ["test"]);
        assert_eq!(parsed(&[]).unwrap(), Options::default());
    }

    #[test]
    fn mistakes_are_refused() {
        for words in [
            &["--bench", "--test"][..],
            &["--bench", "--own"],
            &["--test", "a.vera"],
            &["--test", "--json"],
            &["--json"],
            &["a.vera", "--repeat", "3"],
            &["a.vera", "--limit", "stress"],
            &["a.vera", "--limit", "speed=3"],
            &["a.vera", "--limit", "stress=many"],
            &["a.vera", "--fast"],
            &["a.vera", "--own", "--limit", "stress=7"],
            &["-"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}

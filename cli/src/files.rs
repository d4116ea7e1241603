//! The files that command lines name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The file that `-o` names.
pub fn output(given: Option<PathBuf>) -> Result<PathBuf> {
    given.context("-o is missing: where is the result to go?")
}

/// A file that is to be a component or a core module.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let binary = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        binary.starts_with(b"\0asm"),
        "{} is not a WebAssembly binary (if it is text, wasm-as makes a binary of it)",
        path.display()
    );
    Ok(binary)
}

/// A file that is to be a core module.
pub fn read_module(path: &Path) -> Result<Vec<u8>> {
    let binary = read(path)?;
    ensure!(
        !wasmparser::Parser::is_component(&binary),
        "{} is a component; a core module is wanted",
        path.display()
    );
    Ok(binary)
}

/// A file that is to be a component.
pub fn read_component(path: &Path) -> Result<Vec<u8>> {
    let binary = read(path)?;
    ensure!(
        wasmparser::Parser::is_component(&binary),
        "{} is a core module; `tether encode` makes a component of it",
        path.display()
    );
    Ok(binary)
}

/// Writes a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named_with_what_to_do() {
        let path = std::env::temp_dir().join(format!("tether-kinds-{}", std::process::id()));
        let told = |content: &[u8], read: fn(&Path) -> Result<Vec<u8>>| {
            fs::write(&path, content).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let component = wasm_encoder::Component::new().finish();
        let module = wasm_encoder::Module::new().finish();
        assert!(told(b"(module)", read).contains("not a WebAssembly binary"));
        assert!(told(&component, read_module).contains("a core module is wanted"));
        assert!(told(&module, read_component).contains("`tether encode`"));
        fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("cannot read"));
    }
}

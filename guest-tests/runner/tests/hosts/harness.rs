//! The harness for jco, `guest-tests/jco`, has tests of its own, which need neither jco nor an
//! artifact.

use std::path::Path;
use std::process::Command;

#[test]
fn the_harness_for_jco_passes_its_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jco");
    let mut node = Command::new("node");
    let ran = node.arg("--test").arg(folder.join("lowered.test.mjs")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

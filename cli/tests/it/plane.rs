//! `ferrogate plane`: what it does not begin with.

use crate::{ferrogate, parts};

#[test]
fn a_plane_without_a_release_says_where_one_comes_from_and_does_not_begin() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("plane");
    let plane = |more: &[&str]| {
        let mut command = ferrogate(home.path());
        command.args(["plane", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).args(more);
        parts(&command.output().unwrap())
    };
    let (code, _, words) = plane(&[]);
    assert_eq!(code, 2, "{words}");
    for part in ["--release", "--mirror-dir", "cargo xtask lab build", "release.json", "the node image"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let (code, _, words) = plane(&["--release", "/nowhere/release.json"]);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("could not read /nowhere/release.json"), "{words}");
    assert!(!data.exists(), "a plane that does not begin wrote something");
}

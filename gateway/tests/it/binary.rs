//! The program itself: exit codes and signals.

use crate::support::{Machine, Plane, echo_service};
use std::process::Stdio;
use tokio::process::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrogate-gateway"));
    command.kill_on_drop(true).stdin(Stdio::null()).env_remove("HOST_IP").env_remove("FERROGATE_LOG");
    command
}

#[tokio::test]
async fn the_exit_code_tells_a_wrong_configuration_from_wrong_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, "plane_ur = \"x\"").unwrap();
    let output = program().arg("run").arg("--config").arg(&file).output().await.unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 1: unknown field `plane_ur`"), "{said}");
    assert!(said.contains("hint: did you mean `plane_url`?"), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(program().arg("fly").output().await.unwrap().status.code(), Some(2));
    let output = program().arg("version").output().await.unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("ferrogate-gateway 0."));
}

#[tokio::test]
async fn a_signal_ends_it_in_order() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    // Real paths: the program has no root of its own.
    let file = machine.path("etc/ferrogate/gateway.toml");
    let root = machine.root.path().display().to_string();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"/etc", &format!("\"{root}/etc")).replace("\"/var", &format!("\"{root}/var")))
        .unwrap();
    let mut child = program().arg("run").arg("--config").arg(&file).stderr(Stdio::null()).spawn().unwrap();
    machine.wait_for("/readyz", "200 OK").await;
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").arg("-TERM").arg(id).status().await.unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

//! Wrong use says what to do and changes nothing; exit codes are those of `docs/reference/exit-codes.md`.

use crate::{ferrogate, parts};

#[test]
fn without_a_plane_the_way_to_one_is_shown() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = parts(&ferrogate(home.path()).args(["get", "gateways"]).output().unwrap());
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: no plane is named\nhint: sign in once with `ferrogate login URL`, or give --server and --token-file\n"
    );
}

#[test]
fn a_plane_that_is_not_there_is_unreachable() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let (code, out, err) =
        parts(&ferrogate(home.path()).args(["get", "clusters", "--server", &server]).output().unwrap());
    assert_eq!((code, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("did not answer") && err.contains("hint: "), "{err}");
}

#[test]
fn a_context_file_that_is_not_understood_is_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "curent = \"x\"\n").unwrap();
    let mut command = ferrogate(home.path());
    let (code, _, err) = parts(&command.env("FERROGATE_CONFIG", &file).args(["get", "clusters"]).output().unwrap());
    assert_eq!(code, 2);
    assert!(err.contains("config.toml is not understood") && err.contains("curent"), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "curent = \"x\"\n");
}

#[test]
fn a_plane_without_tls_is_refused_before_a_secret_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let password = home.path().join("password");
    std::fs::write(&password, "correct horse battery").unwrap();
    let output = ferrogate(home.path())
        .args(["login", "http://127.0.0.1:1", "--email", "a@example.com", "--password-file"])
        .arg(&password)
        .output()
        .unwrap();
    let (code, _, err) = parts(&output);
    assert_eq!(code, 2);
    assert!(err.contains("does not begin with https://"), "{err}");
}

#[test]
fn a_maas_key_comes_from_a_file_or_a_person_and_is_in_no_output() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let set_key = |more: &[&std::ffi::OsStr]| {
        let mut command = ferrogate(home.path());
        command.args(["account", "set-key", "paris", "--server", &server]).args(more);
        parts(&command.stdin(std::process::Stdio::null()).output().unwrap())
    };
    let (code, _, err) = set_key(&[]);
    assert_eq!(code, 2);
    assert!(err.contains("MAAS API key is not given") && err.contains("--api-key-file"), "{err}");
    let (code, _, err) = set_key(&["consumer:token:hidden".as_ref()]);
    assert_eq!(code, 2, "not as an argument: {err}");
    let file = home.path().join("maas.key");
    std::fs::write(&file, "consumer:token:hidden\n").unwrap();
    let (code, out, err) = set_key(&["--api-key-file".as_ref(), file.as_os_str()]);
    assert_eq!((code, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("did not answer") && !err.contains("hidden"), "{err}");
}

#[test]
fn a_secret_that_nobody_can_be_asked_for_is_named_with_its_flag() {
    let home = tempfile::tempdir().unwrap();
    let mut command = ferrogate(home.path());
    command.args(["login", "https://127.0.0.1:1", "--email", "a@example.com"]).stdin(std::process::Stdio::null());
    let (code, _, err) = parts(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(err.contains("give --password-file"), "{err}");
}

#[test]
fn a_cluster_file_with_a_wrong_word_names_line_and_column() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("web.yaml");
    std::fs::write(&file, "name: web\naccount: a\nspec:\n  control_plan: {count: 1, resource_pool: default}\n")
        .unwrap();
    let mut command = ferrogate(home.path());
    command.args(["create", "cluster", "--server", "https://127.0.0.1:1", "-f"]).arg(&file);
    let (code, _, err) = parts(&command.output().unwrap());
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("line 4 column 3") && err.contains("control_plan"), "{err}");
}

#[test]
fn help_is_at_most_a_hundred_columns_wide_and_every_shell_gets_completions() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, _) = parts(&ferrogate(home.path()).args(["completion", shell]).output().unwrap());
        assert_eq!(code, 0, "{shell}");
        assert!(out.contains("ferrogate"), "{shell}");
    }
    let (_, out, _) = parts(&ferrogate(home.path()).arg("--help").output().unwrap());
    let long: Vec<_> = out.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn an_installer_with_nobody_to_ask_says_what_is_missing_and_takes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut command = ferrogate(home.path());
    command.args(["install", "--state-dir"]).arg(home.path().join("state")).stdin(std::process::Stdio::null());
    let (code, _, err) = parts(&command.output().unwrap());
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--maas-api-key-file") || err.contains("--maas-endpoint"), "{err}");
    assert!(!home.path().join("state").exists(), "nothing is written before every answer is there");
}

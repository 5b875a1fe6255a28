use super::*;
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn b64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn files_of_every_encoding_and_commands_are_read() {
    let text = format!(
        "#cloud-config\nhostname: node01\nssh_authorized_keys: [ssh-ed25519 AAAA]\nntp:\n  enabled: true\n  servers: [ntp.lab]\n\
         write_files:\n- path: /etc/a\n  content: |\n    one\n    two\n  permissions: '0600'\n\
         - path: /etc/b\n  encoding: b64\n  content: {}\n  append: true\n\
         - path: /etc/c\n  encoding: gz+b64\n  content: {}\n  owner: root:root\n  defer: true\n  permissions: '0o755'\n\
         runcmd:\n- [systemctl, daemon-reload]\n- echo hello\n- null\nssh_pwauth: false\n",
        b64(b"bee"),
        b64(&gzip(b"sea"))
    );
    for data in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let config = parse(&data).unwrap();
        let files: Vec<_> =
            config.write_files.iter().map(|f| (f.path.as_str(), f.content.as_slice(), f.mode)).collect();
        assert_eq!(
            files,
            [("/etc/a", &b"one\ntwo\n"[..], 0o600), ("/etc/b", b"bee", 0o644), ("/etc/c", b"sea", 0o755)]
        );
        assert!(config.write_files[1].append && config.write_files[2].defer);
        assert_eq!(config.runcmd, [vec!["systemctl", "daemon-reload"], vec!["/bin/sh", "-c", "echo hello"]]);
        assert_eq!(config.ntp_servers, ["ntp.lab"]);
        assert_eq!(config.without_effect, ["ssh_pwauth"]);
    }
}

#[test]
fn what_a_real_machine_would_choke_on_is_named_with_its_place() {
    for (text, reason) in [
        ("#cloud-confg\n", "must begin with the line `#cloud-config`"),
        ("#!/bin/sh\n", "must begin with the line"),
        ("#cloud-config\nwrite_files: [\n", "failed loading yaml"),
        ("#cloud-config\nwrite_files:\n\t- path: /x\n", "failed loading yaml"),
        ("#cloud-config\nruncmds: []\n", "'runcmds' was unexpected); did you mean 'runcmd'?"),
        ("#cloud-config\nwrite_files: {}\n", "write_files: an object is not of type 'array'"),
        ("#cloud-config\nwrite_files: [{content: x}]\n", "'path' is a required property"),
        ("#cloud-config\nwrite_files: [{path: /x, contents: x}]\n", "did you mean 'content'?"),
        (
            "#cloud-config\nwrite_files: [{path: /x, permissions: 0644}]\n",
            "permissions: a number is not of type 'string'",
        ),
        ("#cloud-config\nwrite_files: [{path: /x, permissions: 'rw'}]\n", "not an octal mode"),
        ("#cloud-config\nwrite_files: [{path: etc/x}]\n", "not an absolute path"),
        ("#cloud-config\nwrite_files: [{path: /x, encoding: b64, content: '***'}]\n", "not valid base64"),
        ("#cloud-config\nwrite_files: [{path: /x, encoding: gz+b64, content: aGVsbG8=}]\n", "not valid gzip"),
        ("#cloud-config\nwrite_files: [{path: /x, encoding: rot13, content: x}]\n", "'rot13' is not one of"),
        ("#cloud-config\nwrite_files: [{path: /x, append: 'true'}]\n", "append: a text is not of type 'boolean'"),
        ("#cloud-config\nruncmd: [[systemctl, 5]]\n", "runcmd.0.1: a number is not of type 'string'"),
        ("#cloud-config\nruncmd: [[]]\n", "the command is empty"),
        ("#cloud-config\nruncmd: systemctl\n", "runcmd: a text is not of type 'array'"),
        ("#cloud-config\nhostname: 7\n", "hostname: a number is not of type 'string'"),
        ("#cloud-config\nhostname: no\n", "hostname: a boolean is not of type 'string'"),
        ("#cloud-config\nntp: {server: [x]}\n", "did you mean 'servers'?"),
        ("#cloud-config\n- a\n", "user-data: a list is not of type 'object'"),
    ] {
        let wrong = parse(text.as_bytes()).expect_err(text).join("\n");
        assert!(wrong.contains(reason), "{text}: {wrong}");
    }
    assert!(parse(&[0x1f, 0x8b, 1, 2]).unwrap_err()[0].contains("not valid gzip"));
    assert!(parse(&[b'#', 0xff]).unwrap_err()[0].contains("not UTF-8"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_no_content_is_shown() {
    let text =
        "#cloud-config\nhostname: [top-secret]\nwrite_files: [{path: /x, content: {a: top-secret}}]\nx: top-secret\n";
    let wrong = parse(text.as_bytes()).unwrap_err();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(!wrong.join("").contains("top-secret"), "{wrong:?}");
}

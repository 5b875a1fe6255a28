//! The questions on a real pseudo-terminal of 24 × 80: what a person sees, key by key.

use crate::screen::Screen;
use expectrl::{Session, session::OsSession};
use std::{
    io::{Read, Write},
    path::PathBuf,
    process::Command,
    sync::mpsc,
    time::Duration,
};

/// The program under test: the questions, against a site that exists only in it. `cargo test` builds it with every other
/// example before the tests run; `cargo test --test it` alone does not.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/ask");
    assert!(program.exists(), "build it first: cargo build -p ferrogate-installer --example ask");
    program
}

/// As long as no healthy run needs.
const PATIENCE: Duration = Duration::from_secs(30);

struct Person {
    session: OsSession,
    /// What the terminal shows, as it comes.
    shown: mpsc::Receiver<Vec<u8>>,
    screen: Screen,
}

impl Person {
    fn sits_down(environment: &[(&str, &str)]) -> Self {
        Self::runs(Command::new(program()), environment)
    }

    fn runs(mut command: Command, environment: &[(&str, &str)]) -> Self {
        command.env_clear().env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied());
        let mut session = Session::spawn(command).unwrap();
        session.get_process_mut().set_window_size(80, 24).unwrap();
        let mut reader = session.get_process().get_raw_handle().unwrap();
        let (sender, shown) = mpsc::channel();
        // Ends when the program has ended: the read then fails.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { session, shown, screen: Screen::new(24, 80) }
    }

    /// Reads until the screen shows a text; fails after a time that no healthy run needs.
    fn sees(&mut self, text: &str) {
        self.reads_until(text, |screen| screen.text().contains(text));
    }

    /// Reads until a question is drawn to its last line.
    fn sees_all(&mut self) {
        self.reads_until("the last line of a question", |screen| screen.text().ends_with("Ctrl-C leave"));
    }

    fn reads_until(&mut self, what: &str, done: impl Fn(&Screen) -> bool) {
        while !done(&self.screen) {
            match self.shown.recv_timeout(PATIENCE) {
                Ok(bytes) => self.screen.feed(&bytes),
                Err(_) => panic!("`{what}` was not seen on\n{}", self.screen.text()),
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.session.write_all(keys.as_bytes()).unwrap();
        self.session.flush().unwrap();
    }

    /// Answers a question: waits for it, types, and waits until its answer stands there.
    fn answers(&mut self, title: &str, keys: &str, shown: &str) {
        self.sees(title);
        self.types(keys);
        self.types("\r");
        let line = format!("{title:<18} {shown}");
        self.reads_until(&line, |screen| screen.text().lines().any(|seen| seen.ends_with(&line)));
    }

    fn answers_up_to_maas(&mut self) {
        self.answers("Install type", "", "Private Cloud Gateway");
        self.answers("Cloud type", "", "MAAS");
        self.answers("Name", "maas-pcg-1", "maas-pcg-1");
        self.answers("Endpoint", "plane.example.com", "https://plane.example.com");
        self.answers("Username", "user1@company.com", "user1@company.com");
        self.answers("Password", "secret", "********");
        self.answers("Pairing code", "ABCD-1234", "********");
        self.answers("HTTPS proxy", "", "(none)");
        self.answers("HTTP proxy", "", "(none)");
        self.answers("No proxy", "", "(none)");
        self.answers("Pod CIDR", "", "192.168.0.0/16");
        self.answers("Service IP range", "", "10.43.0.0/16");
        self.answers("MAAS API endpoint", "10.11.12.13", "http://10.11.12.13:5240/MAAS");
    }
}

const UTF8: &[(&str, &str)] = &[("LANG", "C.UTF-8")];
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const ESCAPE: &str = "\x1b";

#[test]
fn a_person_answers_every_question_and_sees_the_summary() {
    let mut person = Person::sits_down(UTF8);
    person.answers_up_to_maas();
    person.answers("MAAS API key", "a1:b2:c3", "********");
    person.sees("lab.example");
    person.sees_all();
    insta::assert_snapshot!(person.screen.text(), @r#"
    ✔ Endpoint           https://plane.example.com
      · https:// was added
      · the plane answers
    ✔ Username           user1@company.com
    ✔ Password           ********
      · user1@company.com is admin of tenant acme
    ✔ Pairing code       ********
    ✔ HTTPS proxy        (none)
    ✔ HTTP proxy         (none)
    ✔ No proxy           (none)
    ✔ Pod CIDR           192.168.0.0/16
    ✔ Service IP range   10.43.0.0/16
    ✔ MAAS API endpoint  http://10.11.12.13:5240/MAAS
      · `http://` was missing in front of the address; it was added.
      · The port was missing; MAAS's own port 5240 was added.
      · `/MAAS` was missing at the end of the address; it was added.
      · MAAS 3.6.5 answers
    ✔ MAAS API key       ********
      · the key is admin's, an administrator; 8 Ready machines
    ◆ Domain                                                               15 of 18
      The machines' names will stand in this DNS zone of MAAS.
    › maas         the default of MAAS
      lab.example
      Up/Down, Enter accepts · Esc back · Ctrl-C leave
    "#);
    person.answers("Domain", "", "maas");
    person.sees("no Ready machine");
    person.answers("Availability zone", "", "zone-a");
    person.answers("Resource pool", "", "default");
    person.answers("Number of nodes", DOWN, "3 (high availability)");
    person.sees("Install the gateway");
    person.sees_all();
    insta::assert_snapshot!(person.screen.text(), @r#"
    ✔ HTTPS proxy        (none)
    ✔ HTTP proxy         (none)
    ✔ No proxy           (none)
    ✔ Pod CIDR           192.168.0.0/16
    ✔ Service IP range   10.43.0.0/16
    ✔ MAAS API endpoint  http://10.11.12.13:5240/MAAS
      · `http://` was missing in front of the address; it was added.
      · The port was missing; MAAS's own port 5240 was added.
      · `/MAAS` was missing at the end of the address; it was added.
      · MAAS 3.6.5 answers
    ✔ MAAS API key       ********
      · the key is admin's, an administrator; 8 Ready machines
    ✔ Domain             maas
    ✔ Availability zone  zone-a
    ✔ Resource pool      default
    ✔ Number of nodes    3 (high availability)
    ◆ Ready                                                 maas-pcg-1 on 3 node(s)
      The answers are written to pcg.yaml first, then everything is checked, then
      machines are taken.
    › Install the gateway
      Only write pcg.yaml  to install later with --config
      Change an answer
      Leave                nothing is written
      Up/Down, Enter accepts · Esc back · Ctrl-C leave
    "#);
    person.types("\r");
    person.sees("placement.nodes=3");
}

#[test]
fn without_colour_and_without_utf8_everything_is_plain_ascii() {
    let mut person = Person::sits_down(&[("LANG", "C"), ("NO_COLOR", "1")]);
    person.answers_up_to_maas();
    person.sees("My Preferences");
    assert!(!person.screen.coloured);
    assert!(!person.screen.beyond_ascii);
    person.sees_all();
    insta::assert_snapshot!(person.screen.text(), @r#"
    + Install type       Private Cloud Gateway
    + Cloud type         MAAS
    + Name               maas-pcg-1
    + Endpoint           https://plane.example.com
      - https:// was added
      - the plane answers
    + Username           user1@company.com
    + Password           ********
      - user1@company.com is admin of tenant acme
    + Pairing code       ********
    + HTTPS proxy        (none)
    + HTTP proxy         (none)
    + No proxy           (none)
    + Pod CIDR           192.168.0.0/16
    + Service IP range   10.43.0.0/16
    + MAAS API endpoint  http://10.11.12.13:5240/MAAS
      - `http://` was missing in front of the address; it was added.
      - The port was missing; MAAS's own port 5240 was added.
      - `/MAAS` was missing at the end of the address; it was added.
      - MAAS 3.6.5 answers
    ? MAAS API key                                                         14 of 18
      In MAAS: My Preferences > API keys. Three parts with colons; sealed.
    >
      Enter accepts | Esc back | Ctrl-C leave
    "#);
}

#[test]
fn colour_is_used_where_the_terminal_has_it() {
    let mut person = Person::sits_down(UTF8);
    person.sees("Install type");
    person.sees("leave");
    assert!(person.screen.coloured && person.screen.beyond_ascii);
}

#[test]
fn a_wrong_answer_is_said_at_once_and_the_field_keeps_it() {
    let mut person = Person::sits_down(UTF8);
    person.answers("Install type", "", "Private Cloud Gateway");
    person.answers("Cloud type", "", "MAAS");
    person.sees("such as maas-pcg-1");
    person.types("Maas_PCG\r");
    person.sees("only a-z, 0-9 and - may be used");
    person.sees("› Maas_PCG");
    assert_eq!(person.screen.text().matches("Maas_PCG").count(), 2, "{}", person.screen.text());
}

#[test]
fn escape_goes_back_and_takes_the_answer_from_the_screen() {
    let mut person = Person::sits_down(UTF8);
    person.answers("Install type", "", "Private Cloud Gateway");
    person.answers("Cloud type", "", "MAAS");
    person.answers("Name", "maas-pcg-1", "maas-pcg-1");
    person.sees("Address of the plane");
    person.types(ESCAPE);
    person.sees("› maas-pcg-1");
    assert!(!person.screen.text().contains("✔ Name"), "{}", person.screen.text());
    person.reads_until("the cursor behind the name", |screen| screen.before_cursor() == "› maas-pcg-1");
    person.types("\x7f2\r");
    person.sees("✔ Name               maas-pcg-2");
    person.sees("Address of the plane");
}

#[test]
fn an_arrow_key_that_arrives_byte_by_byte_is_not_taken_for_escape() {
    let mut person = Person::sits_down(UTF8);
    person.answers_up_to_maas();
    person.answers("MAAS API key", "a1:b2:c3", "********");
    person.sees("lab.example");
    for byte in DOWN.chars() {
        person.types(&byte.to_string());
    }
    person.sees("› lab.example");
    person.types(UP);
    person.sees("› maas");
}

#[test]
fn pods_that_overlap_a_subnet_bring_their_question_back() {
    let mut person = Person::sits_down(UTF8);
    person.answers_up_to_maas();
    for help in ["Such as http://10.11.12.13", "Services of the gateway", "Pods of the gateway"] {
        // Ctrl-B is back, too.
        person.types("\x02");
        person.sees(help);
    }
    person.types("\x1510.20.0.0/16\r");
    person.answers("MAAS API key", "a1:b2:c3", "********");
    person.sees("pod CIDR 10.20.0.0/16 overlaps MAAS subnet `lab` 10.20.0.0/22");
}

#[test]
fn a_plane_behind_a_proxy_has_the_proxy_asked_for_next() {
    let mut person = Person::sits_down(UTF8);
    person.answers("Install type", "", "Private Cloud Gateway");
    person.answers("Cloud type", "", "MAAS");
    person.answers("Name", "maas-pcg-1", "maas-pcg-1");
    person.answers("Endpoint", "https://behind.example.com", "https://behind.example.com");
    person.sees("if a proxy leads there, give it here");
    person.answers("HTTPS proxy", "http://site:s3cret@10.0.0.9:3128", "http://***@10.0.0.9:3128");
    person.sees("E-mail of a local tenant admin");
    // It was typed in the clear, as every address is, but does not stay on the screen.
    assert!(!person.screen.text().contains("s3cret"), "{}", person.screen.text());
}

#[test]
fn a_password_is_never_shown() {
    let mut person = Person::sits_down(UTF8);
    person.answers("Install type", "", "Private Cloud Gateway");
    person.answers("Cloud type", "", "MAAS");
    person.answers("Name", "maas-pcg-1", "maas-pcg-1");
    person.answers("Endpoint", "https://plane.example.com", "https://plane.example.com");
    person.answers("Username", "user1@company.com", "user1@company.com");
    person.sees("Your password on the plane");
    person.types("hunter2");
    person.sees("› •••••••");
    assert!(!person.screen.text().contains("hunter2"));
    person.types("\r");
    person.sees("user1@company.com is admin of tenant acme");
    assert!(!person.screen.text().contains("hunter2"));
}

#[test]
fn ctrl_c_leaves_and_the_terminal_is_as_it_was() {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!("stty echo; {}; echo left with $?; stty -a | tr ';' '\\n' | grep echo", program().display()));
    let mut person = Person::runs(shell, UTF8);
    person.sees("Install type");
    person.sees("Ctrl-C leave");
    person.types("\x03");
    person.sees("left with 1");
    person.sees(" icanon iexten echo ");
}

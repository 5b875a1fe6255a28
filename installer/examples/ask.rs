//! The questions by themselves, against a site that exists only here: for the tests on a pseudo-terminal, and for looking
//! at every screen without a plane or a MAAS.

use async_trait::async_trait;
use ferrogate_installer::{
    Prompter, Terminal,
    answers::Answers,
    prompt::Tone,
    questions::{
        Problem, Question,
        dialogue::{self, Ending, Probes},
        flow::{Finding, Look},
        inventory::{Inventory, ReadyMachine},
    },
};
use std::process::ExitCode;

/// A site with three zones, one of which lies behind a proxy.
struct Pretended;

#[async_trait]
impl Probes for Pretended {
    async fn look(&self, look: Look, answers: &Answers) -> Finding {
        match look {
            Look::Plane if answers.or_default(Question::Endpoint).contains("behind") => {
                if answers.or_default(Question::HttpsProxy).is_empty() {
                    let problem = "could not connect to behind.example.com:443: no such name";
                    return Finding::Unreached(Problem::new(problem));
                }
                Finding::Good("the plane answers".into())
            }
            Look::Plane => Finding::Good("the plane answers".into()),
            Look::SignIn if answers.or_default(Question::Password) == "wrong" => {
                Finding::Bad(Problem::new("the e-mail or the password is wrong"))
            }
            Look::SignIn => Finding::Good("user1@company.com is admin of tenant acme".into()),
            Look::Maas => Finding::Good("MAAS 3.6.5 answers".into()),
            Look::MaasKey => {
                Finding::Inventory("the key is admin's, an administrator; 8 Ready machines".into(), site())
            }
        }
    }
}

fn site() -> Inventory {
    let machine = |n: u32, zone: &str, pool: &str, cpu: u32| ReadyMachine {
        hostname: format!("node{n:02}"),
        zone: zone.into(),
        pool: pool.into(),
        cpu,
        memory_mib: 16384,
        disk_gib: 200,
    };
    let mut ready: Vec<_> = (1..=5).map(|n| machine(n, "zone-a", "default", 8)).collect();
    ready.extend([
        machine(6, "zone-a", "blue", 8),
        machine(7, "zone-b", "blue", 2),
        machine(8, "zone-b", "default", 8),
    ]);
    Inventory {
        domains: vec!["maas".into(), "lab.example".into()],
        zones: vec!["default".into(), "zone-a".into(), "zone-b".into()],
        pools: vec!["blue".into(), "default".into(), "green".into()],
        ready,
        subnets: vec![("lab".into(), "10.20.0.0/22".parse().expect("a range"))],
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(mut terminal) = Terminal::open() else { return ExitCode::from(2) };
    let mut given = Answers::default();
    if let Some(name) = std::env::args().nth(1) {
        given.set(Question::Name, &name);
    }
    let ending = dialogue::ask_all(given, &mut terminal, &Pretended, false).await;
    let line = match &ending {
        Ok(Ending::Install(answers)) => {
            let shown = |question: Question| format!("{}={}", question.field(), answers.shown(question));
            Question::ALL.map(shown).join("\n")
        }
        Ok(Ending::WriteOnly(_)) => "only written".into(),
        Ok(Ending::Left) => "left".into(),
        Err(error) => error.to_string(),
    };
    let said = line.lines().try_for_each(|line| terminal.say(Tone::Plain, line)).and_then(|()| terminal.release());
    if said.is_ok() && matches!(ending, Ok(Ending::Install(_))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

use super::*;
use crate::questions::inventory::ReadyMachine;

fn site() -> Inventory {
    let machine = |n: u32, zone: &str, pool: &str| ReadyMachine {
        hostname: format!("node{n:02}"),
        zone: zone.into(),
        pool: pool.into(),
        cpu: 8,
        memory_mib: 16384,
        disk_gib: 200,
    };
    let mut ready: Vec<_> = (1..=3).map(|n| machine(n, "zone-a", "default")).collect();
    ready.push(machine(4, "zone-b", "default"));
    ready.push(machine(5, "zone-b", "blue"));
    Inventory {
        domains: vec!["maas".into(), "lab.example".into()],
        zones: vec!["default".into(), "zone-a".into(), "zone-b".into()],
        pools: vec!["blue".into(), "default".into()],
        ready,
        subnets: vec![("lab".into(), "10.20.0.0/22".parse().unwrap())],
    }
}

/// Answers by a table; looks always find what a healthy site has. Returns the questions that were asked.
fn drive(flow: &mut Flow, table: &[(Question, &str)]) -> Vec<Question> {
    let mut asked = Vec::new();
    loop {
        match flow.proceed() {
            Next::Ask(ask) => {
                assert!(asked.len() < 60, "the flow goes round: {asked:?}");
                let Some((_, value)) = table.iter().find(|(question, _)| *question == ask.question) else {
                    return asked;
                };
                asked.push(ask.question);
                flow.answer(ask.question, &SecretString::from(*value));
            }
            Next::Look(Look::MaasKey) => flow.found(Look::MaasKey, Finding::Inventory("read".into(), site())),
            Next::Look(look) => flow.found(look, Finding::Good("good".into())),
            Next::Done => return asked,
        }
    }
}

const TABLE: [(Question, &str); 18] = [
    (Question::InstallType, "pcg"),
    (Question::CloudType, "maas"),
    (Question::Name, "maas-pcg-1"),
    (Question::Endpoint, "https://plane.example.com"),
    (Question::Username, "user1@company.com"),
    (Question::Password, "secret"),
    (Question::PairingCode, "CODE"),
    (Question::HttpsProxy, ""),
    (Question::HttpProxy, ""),
    (Question::NoProxy, ""),
    (Question::PodCidr, "192.168.0.0/16"),
    (Question::ServiceRange, "10.43.0.0/16"),
    (Question::MaasEndpoint, "http://10.20.0.2:5240/MAAS"),
    (Question::MaasKey, "a1:b2:c3"),
    (Question::Domain, "maas"),
    (Question::Zone, "zone-a"),
    (Question::ResourcePool, "default"),
    (Question::Nodes, "3"),
];

fn done() -> Flow {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE);
    assert!(matches!(flow.proceed(), Next::Done));
    flow
}

#[test]
fn every_question_is_asked_once_in_the_order_of_the_specification() {
    let mut flow = Flow::default();
    assert_eq!(drive(&mut flow, &TABLE), Question::ALL);
    assert!(matches!(flow.proceed(), Next::Done));
}

#[test]
fn without_a_username_no_password_is_asked() {
    let mut table = TABLE;
    table[4].1 = "";
    let asked = drive(&mut Flow::default(), &table);
    assert!(!asked.contains(&Question::Password));
    assert_eq!(asked.len(), 17);
}

#[test]
fn what_was_given_beforehand_is_looked_at_and_not_asked() {
    let mut given = Answers::default();
    for (question, value) in TABLE.into_iter().filter(|(question, _)| *question != Question::Zone) {
        given.set(question, value);
    }
    assert_eq!(drive(&mut Flow::new(given), &TABLE), [Question::Zone]);
}

#[test]
fn a_given_answer_that_does_not_hold_is_asked_with_its_problem() {
    let mut given = Answers::default();
    given.set(Question::InstallType, "pcg");
    given.set(Question::CloudType, "maas");
    given.set(Question::Name, "Paris");
    let mut flow = Flow::new(given);
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!((ask.question, ask.initial.as_str()), (Question::Name, "Paris"));
    assert!(ask.problem.unwrap().message.contains("'P'"));
}

#[test]
fn going_back_asks_the_question_before_and_then_goes_on_where_it_was() {
    let mut flow = Flow::default();
    assert_eq!(drive(&mut flow, &TABLE[..16]).last(), Some(&Question::Zone));
    assert!(flow.back(Question::ResourcePool));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::Zone);
    let (choices, at) = ask.choices.unwrap();
    assert_eq!(choices[at].value, "zone-a", "the cursor stands on the earlier answer");
    flow.answer(Question::Zone, &SecretString::from("zone-b"));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::ResourcePool);
}

#[test]
fn there_is_nothing_before_the_first_question() {
    assert!(!Flow::default().back(Question::InstallType));
}

#[test]
fn a_changed_answer_keeps_the_later_ones_that_still_hold() {
    let mut flow = done();
    flow.change(Question::MaasKey);
    let Next::Ask(_) = flow.proceed() else { panic!("asks") };
    flow.answer(Question::MaasKey, &SecretString::from("d4:e5:f6"));
    assert_eq!(drive(&mut flow, &TABLE), [], "zone, pool and nodes still hold");
    assert_eq!(flow.answers().get(Question::Zone), Some("zone-a"));
}

#[test]
fn a_changed_answer_asks_again_for_what_no_longer_holds_and_for_nothing_else() {
    let mut flow = done();
    flow.change(Question::Zone);
    let Next::Ask(_) = flow.proceed() else { panic!("asks") };
    flow.answer(Question::Zone, &SecretString::from("zone-b"));
    // Three nodes do not fit in zone-b; its pool `default` still has one machine.
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::Nodes);
    let problem = ask.problem.unwrap();
    assert_eq!(
        problem.message,
        "3 Ready machines that fit are needed in zone `zone-b`, pool `default`; there: 1 Ready"
    );
    assert_eq!(problem.hint.as_deref(), Some("zone `zone-a` with pool `default` has 3 Ready"));
}

#[test]
fn a_plane_behind_a_proxy_has_the_proxy_asked_for_at_once() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..3]);
    flow.answer(Question::Endpoint, &SecretString::from("https://plane.demo.internal"));
    assert!(matches!(flow.proceed(), Next::Look(Look::Plane)));
    flow.found(Look::Plane, Finding::Unreached(Problem::new("no such name")));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::HttpsProxy);
    assert_eq!(ask.problem.unwrap().message, "no such name");
    flow.answer(Question::HttpsProxy, &SecretString::from(""));
    let Next::Ask(ask) = flow.proceed() else { panic!("a blank proxy does not help") };
    assert_eq!(ask.question, Question::HttpsProxy);
    flow.answer(Question::HttpsProxy, &SecretString::from("http://10.20.0.3:3128"));
    assert!(matches!(flow.proceed(), Next::Look(Look::Plane)));
    flow.found(Look::Plane, Finding::Good("the plane answers".into()));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::Username, "and goes on where it left");
}

#[test]
fn the_same_wrong_proxy_given_twice_is_looked_at_twice() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..3]);
    flow.answer(Question::Endpoint, &SecretString::from("https://plane.demo.internal"));
    flow.proceed();
    flow.found(Look::Plane, Finding::Unreached(Problem::new("no such name")));
    for _ in 0..2 {
        flow.proceed();
        flow.answer(Question::HttpsProxy, &SecretString::from("http://10.20.0.9:3128"));
        assert!(matches!(flow.proceed(), Next::Look(Look::Plane)));
        flow.found(Look::Plane, Finding::Unreached(Problem::new("refused")));
        let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
        assert_eq!(ask.question, Question::HttpsProxy);
    }
}

#[test]
fn a_refused_password_is_asked_for_again_and_not_kept() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..5]);
    flow.answer(Question::Password, &SecretString::from("wrong"));
    assert!(matches!(flow.proceed(), Next::Look(Look::SignIn)));
    flow.found(Look::SignIn, Finding::Bad(Problem::new("wrong password")));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!((ask.question, ask.has_earlier), (Question::Password, false));
}

#[test]
fn a_secret_left_blank_keeps_the_one_given_before() {
    let mut flow = done();
    flow.change(Question::MaasKey);
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert!(ask.has_earlier);
    flow.answer(Question::MaasKey, &SecretString::from(""));
    drive(&mut flow, &TABLE);
    assert_eq!(flow.answers().get(Question::MaasKey), Some("a1:b2:c3"));
}

#[test]
fn pods_that_overlap_a_subnet_of_maas_are_noticed_as_soon_as_maas_was_read() {
    let mut table = TABLE;
    table[10].1 = "10.20.0.0/16";
    let mut flow = Flow::default();
    drive(&mut flow, &table[..13]);
    flow.answer(Question::MaasKey, &SecretString::from("a1:b2:c3"));
    assert!(matches!(flow.proceed(), Next::Look(Look::MaasKey)));
    flow.found(Look::MaasKey, Finding::Inventory("read".into(), site()));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::PodCidr);
    assert_eq!(ask.problem.unwrap().message, "pod CIDR 10.20.0.0/16 overlaps MAAS subnet `lab` 10.20.0.0/22");
}

#[test]
fn pods_and_services_keep_out_of_each_others_way() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..11]);
    flow.answer(Question::ServiceRange, &SecretString::from("192.168.7.0/24"));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::ServiceRange);
    assert_eq!(ask.problem.unwrap().message, "pod CIDR 192.168.0.0/16 overlaps service IP range 192.168.7.0/24");
}

#[test]
fn repairs_are_said_and_kept() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..12]);
    flow.take_notes();
    flow.answer(Question::MaasEndpoint, &SecretString::from("10.20.0.2:5240"));
    assert_eq!(flow.answers().get(Question::MaasEndpoint), Some("http://10.20.0.2:5240/MAAS"));
    assert!(flow.take_notes().iter().any(|(_, note)| note.contains("`/MAAS`")));
}

#[test]
fn a_debug_print_of_the_flow_shows_no_secret() {
    let text = format!("{:?}", done());
    assert!(!text.contains("secret") && !text.contains("a1:b2") && !text.contains("CODE"), "{text}");
}

#[test]
fn a_proxy_that_is_none_is_said_at_its_own_question() {
    let mut flow = Flow::default();
    drive(&mut flow, &TABLE[..7]);
    flow.answer(Question::HttpsProxy, &SecretString::from("http://10.20.0.3:31280000"));
    let Next::Ask(ask) = flow.proceed() else { panic!("asks") };
    assert_eq!((ask.question, ask.initial.as_str()), (Question::HttpsProxy, "http://10.20.0.3:31280000"));
    assert!(ask.problem.unwrap().message.contains("invalid port"));

    let mut given = Answers::default();
    for (question, value) in &TABLE[..4] {
        given.set(*question, value);
    }
    given.set(Question::HttpsProxy, "ftp://10.20.0.3");
    let Next::Ask(ask) = Flow::new(given).proceed() else { panic!("asks") };
    assert_eq!(ask.question, Question::HttpsProxy, "the plane is not looked at through it");
}

use super::*;
use crate::tasks::TaskStatus;
use ferrogate_model::SystemClock;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::task::JoinHandle;

/// A reconciler whose runs are noted and behave as they are told.
#[derive(Default)]
struct Noted {
    keys: Mutex<Vec<Key>>,
    cannot_look: AtomicBool,
    runs: Mutex<Vec<(String, Instant)>>,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    behave: Mutex<BTreeMap<String, Behaviour>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Settle,
    Take(Duration),
    Fail,
    Panic,
}

#[async_trait]
impl Reconciler for Noted {
    fn name(&self) -> &'static str {
        "noted"
    }

    async fn keys(&self) -> Result<Vec<Key>, TaskError> {
        if self.cannot_look.load(Ordering::Relaxed) {
            return Err(TaskError::document("list", &"the disk is full"));
        }
        Ok(self.keys.lock().unwrap().clone())
    }

    async fn reconcile(&self, id: &str) -> Result<Done, TaskError> {
        self.runs.lock().unwrap().push((id.to_owned(), Instant::now()));
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        let behaviour = self.behave.lock().unwrap().get(id).copied().unwrap_or(Behaviour::Settle);
        if let Behaviour::Take(time) = behaviour {
            tokio::time::sleep(time).await;
        }
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        match behaviour {
            Behaviour::Settle | Behaviour::Take(_) => Ok(Done::new(Duration::from_secs(1000), "settled")),
            Behaviour::Fail => Err(TaskError::document("thing", &"it is broken")),
            Behaviour::Panic => panic!("a defect"),
        }
    }
}

struct Harness {
    noted: Arc<Noted>,
    nudge: watch::Sender<()>,
    statuses: Arc<TaskStatuses>,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl Harness {
    fn new(keys: &[(&str, bool)], behave: &[(&str, Behaviour)]) -> Self {
        let noted = Arc::new(Noted {
            keys: Mutex::new(keys.iter().map(|(id, pressing)| Key { id: (*id).into(), pressing: *pressing }).collect()),
            behave: Mutex::new(behave.iter().map(|(id, behaviour)| ((*id).to_owned(), *behaviour)).collect()),
            ..Noted::default()
        });
        let (nudge, statuses, closing) =
            (watch::Sender::new(()), Arc::new(TaskStatuses::default()), CancellationToken::new());
        let task = tokio::spawn(run(
            Arc::clone(&noted) as Arc<dyn Reconciler>,
            Arc::new(SystemClock),
            nudge.subscribe(),
            Arc::clone(&statuses),
            closing.clone(),
        ));
        Self { noted, nudge, statuses, closing, task }
    }

    async fn after(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn runs_of(&self, id: &str) -> Vec<Instant> {
        self.noted.runs.lock().unwrap().iter().filter(|(of, _)| of == id).map(|(_, at)| *at).collect()
    }

    fn status(&self) -> TaskStatus {
        self.statuses.status().remove("noted").unwrap()
    }

    async fn end(self) {
        self.closing.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_nudge_runs_what_is_pressing_and_leaves_the_rest_alone() {
    let harness = Harness::new(&[("settled", false), ("pressing", true)], &[]);
    harness.after(Duration::from_secs(10)).await;
    assert_eq!((harness.runs_of("settled").len(), harness.runs_of("pressing").len()), (1, 1), "each once at the start");
    harness.nudge.send_replace(());
    harness.after(Duration::from_millis(1)).await;
    assert_eq!((harness.runs_of("settled").len(), harness.runs_of("pressing").len()), (1, 2));

    harness.noted.keys.lock().unwrap()[0].pressing = true;
    harness.after(LOOK_EVERY).await;
    assert_eq!(harness.runs_of("settled").len(), 2, "what becomes pressing is found without a nudge");
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_thing_that_is_nudged_without_end_runs_no_more_than_five_times_a_second() {
    let harness = Harness::new(&[("pressing", true)], &[]);
    for _ in 0..1000 {
        harness.nudge.send_replace(());
        harness.after(Duration::from_millis(1)).await;
    }
    let runs = harness.runs_of("pressing");
    assert!((4..=6).contains(&runs.len()), "{}", runs.len());
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_tried_again_ever_later_but_never_given_up() {
    let harness = Harness::new(&[("broken", false)], &[("broken", Behaviour::Fail)]);
    harness.after(Duration::from_secs(3600)).await;
    let runs = harness.runs_of("broken");
    let gaps: Vec<_> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= FIRST_RETRY + Duration::from_millis(10), "{:?}", gaps[0]);
    assert!(gaps.iter().all(|gap| *gap <= LONGEST_RETRY + Duration::from_millis(10)), "{gaps:?}");
    assert!(gaps[10..].iter().all(|gap| *gap >= LONGEST_RETRY / 2), "{gaps:?}");
    let status = harness.status();
    assert_eq!(status.failures, u64::try_from(runs.len()).unwrap());
    let item = &status.items["broken"];
    assert_eq!((item.phase, u64::from(item.failures)), (Phase::Failed, status.failures));
    assert_eq!(item.detail, "the stored thing cannot be read: it is broken");

    harness.noted.behave.lock().unwrap().clear();
    harness.after(LONGEST_RETRY).await;
    assert_eq!((harness.status().items["broken"].phase, harness.status().items["broken"].failures), (Phase::Done, 0));
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_harms_nothing_but_its_own_run() {
    let harness = Harness::new(&[("defect", true), ("good", true)], &[("defect", Behaviour::Panic)]);
    harness.after(Duration::from_secs(5)).await;
    assert!(harness.runs_of("defect").len() >= 2, "it is tried again");
    harness.nudge.send_replace(());
    harness.after(Duration::from_secs(1)).await;
    assert_eq!(harness.runs_of("good").len(), 2);
    let status = harness.status();
    assert_eq!((status.items["defect"].phase, status.items["defect"].detail.as_str()), (Phase::Panicked, "a defect"));
    assert_eq!(status.items["good"].phase, Phase::Done);
    assert!(status.panics >= 2);
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_thing_never_runs_twice_at_once_and_a_nudge_meanwhile_is_not_lost() {
    let harness = Harness::new(&[("slow", true)], &[("slow", Behaviour::Take(Duration::from_secs(60)))]);
    harness.after(Duration::from_secs(30)).await;
    harness.nudge.send_replace(());
    harness.after(Duration::from_secs(29)).await;
    assert_eq!(harness.runs_of("slow").len(), 1);
    harness.after(Duration::from_secs(2)).await;
    assert_eq!(harness.runs_of("slow").len(), 2, "because of the nudge");
    assert_eq!(harness.noted.most_at_once.load(Ordering::Relaxed), 1);
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn slow_things_do_not_hold_up_the_others_and_are_bounded() {
    let ids: Vec<String> = (0..40).map(|n| format!("slow-{n:02}")).collect();
    let keys: Vec<_> = ids.iter().map(|id| (id.as_str(), false)).collect();
    let behave: Vec<_> = ids.iter().map(|id| (id.as_str(), Behaviour::Take(Duration::from_secs(10)))).collect();
    let harness = Harness::new(&keys, &behave);
    harness.after(Duration::from_secs(1)).await;
    assert_eq!(harness.noted.runs.lock().unwrap().len(), AT_ONCE);
    harness.after(Duration::from_secs(30)).await;
    assert_eq!(harness.noted.runs.lock().unwrap().len(), 40);
    assert_eq!(harness.noted.most_at_once.load(Ordering::Relaxed), u32::try_from(AT_ONCE).unwrap());
    harness.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_hangs_is_ended_and_the_shutdown_does_not_wait_for_one() {
    let harness = Harness::new(&[("hangs", false)], &[("hangs", Behaviour::Take(Duration::from_secs(1_000_000)))]);
    harness.after(LONGEST_RUN + Duration::from_millis(1)).await;
    assert_eq!(harness.status().items["hangs"].detail, "it did not end within 600 s");
    harness.after(Duration::from_secs(10)).await;
    assert_eq!(harness.runs_of("hangs").len(), 2);
    let before = Instant::now();
    harness.end().await;
    assert!(before.elapsed() <= CLOSING_DEADLINE + Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_shown_and_asked_again() {
    let harness = Harness::new(&[("thing", false)], &[]);
    harness.noted.cannot_look.store(true, Ordering::Relaxed);
    harness.after(LOOK_EVERY * 2).await;
    assert_eq!(harness.status().cannot_look.as_deref(), Some("the stored list cannot be read: the disk is full"));
    harness.noted.cannot_look.store(false, Ordering::Relaxed);
    harness.after(LOOK_EVERY * 2).await;
    assert_eq!(harness.status().cannot_look, None);
    harness.end().await;
}

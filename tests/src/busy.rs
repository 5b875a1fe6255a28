//! One run at a time: the sites of the scenarios have fixed names, so that each run removes what a killed one left.

use super::plan::{self, Scenario};
use ferrogate_lab::netns::Lock;
use ferrogate_model::{Explain, Fault, Retry};

/// A site that the scenarios would raise is up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the scenarios raise a site `{site}`, and it is up already: process {pid} has it, most likely for another \
     `lab test` on this computer"
)]
pub struct Busy {
    site: String,
    pid: u32,
}

impl Explain for Busy {
    fn code(&self) -> &'static str {
        "lab_busy"
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn hint(&self) -> Option<String> {
        Some(format!(
            "wait for the end of that run, one at a time is what a computer carries; where there is none, end the site with \
             `cargo xtask lab down --site {}`",
            self.site
        ))
    }
}

/// Whether these scenarios and what they build on can have their sites. Asked before anything is begun.
///
/// # Errors
/// [`Busy`] where another process has one of them.
pub fn vacant(only: &[Scenario]) -> Result<(), Busy> {
    // A lock that cannot be looked at is told about by the site that wants it.
    held_by(only, |site| Lock::holder(site).ok().flatten())
}

fn held_by(only: &[Scenario], holder: impl Fn(&str) -> Option<u32>) -> Result<(), Busy> {
    let taken = |site: &str| holder(site).map(|pid| Busy { site: site.to_owned(), pid });
    plan::tracks(only).iter().find_map(|track| taken(track.site)).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_is_in_its_way_and_what_to_do() {
        let holder = |site: &str| (site == "test-three").then_some(4711);
        let busy = held_by(&[], holder).unwrap_err();
        assert!(busy.to_string().contains("`test-three`") && busy.to_string().contains("4711"), "{busy}");
        assert!(busy.hint().unwrap().contains("lab down --site test-three"));
        assert_eq!(held_by(&[Scenario::A], holder), Ok(()), "a site that is not wanted is in nobody's way");
    }
}

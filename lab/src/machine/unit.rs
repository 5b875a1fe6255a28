//! Unit files. Stricter than systemd on purpose: a setting that systemd would only warn about is an error here, because
//! on a real machine the warning is read by nobody.

use super::exec_line::{ExecLine, Specifiers, split};
use std::{collections::BTreeMap, time::Duration};

/// When a service counts as started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// At once.
    Simple,
    /// When its program could be run.
    Exec,
    /// When it says that it is ready.
    Notify,
    /// When all its commands have ended well.
    Oneshot,
}

/// When a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    No,
    OnFailure,
    Always,
}

/// One service (or target) as its file describes it.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) after: Vec<String>,
    pub(crate) requires: Vec<String>,
    pub(crate) wants: Vec<String>,
    pub(crate) condition_missing: Vec<String>,
    pub(crate) condition_exists: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) remain_after_exit: bool,
    pub(crate) start_pre: Vec<ExecLine>,
    pub(crate) start: Vec<ExecLine>,
    pub(crate) start_post: Vec<ExecLine>,
    pub(crate) environment: BTreeMap<String, String>,
    /// File and whether it may be missing.
    pub(crate) environment_files: Vec<(String, bool)>,
    pub(crate) working_directory: String,
    pub(crate) restart: Restart,
    /// `RestartMode=direct`: those who wait for the unit keep waiting while it is started again.
    pub(crate) restart_direct: bool,
    pub(crate) restart_after: Duration,
    /// In how many steps the pause before a start grows …
    pub(crate) restart_steps: u32,
    /// … to this; `None`: it does not.
    pub(crate) restart_at_most: Option<Duration>,
    /// At most this many starts …
    pub(crate) start_limit_burst: usize,
    /// … within this time; zero: no limit.
    pub(crate) start_limit_interval: Duration,
    /// `None`: forever.
    pub(crate) start_timeout: Option<Duration>,
    pub(crate) wanted_by: Vec<String>,
}

/// Settings that are accepted and change nothing in a simulated machine.
const WITHOUT_EFFECT: [&str; 22] = [
    "Documentation",
    "Before",
    "DefaultDependencies",
    "KillMode",
    "KillSignal",
    "Delegate",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitCORE",
    "TasksMax",
    "TimeoutStopSec",
    "StandardOutput",
    "StandardError",
    "SyslogIdentifier",
    "User",
    "Group",
    "UMask",
    "OOMScoreAdjust",
    "ExecReload",
    "ExecStop",
    "NoNewPrivileges",
    "PrivateTmp",
];

impl Unit {
    /// Reads a unit file.
    ///
    /// # Errors
    /// The line's number and what is wrong with it.
    pub(crate) fn parse(name: &str, text: &str, hostname: &str) -> Result<Self, String> {
        let mut unit = Self::empty(name);
        let mut timeout_given = false;
        let mut section = String::new();
        for (number, line) in logical_lines(text) {
            let fail = |what: String| format!("{name}:{number}: {what}");
            if let Some(head) = line.strip_prefix('[') {
                section = head.strip_suffix(']').ok_or_else(|| fail(format!("`{line}` is not a section")))?.to_owned();
                if !matches!(section.as_str(), "Unit" | "Service" | "Install") {
                    return Err(fail(format!("unknown section `[{section}]`")));
                }
                continue;
            }
            let (key, value) =
                line.split_once('=').ok_or_else(|| fail(format!("`{line}` is neither a section nor a setting")))?;
            let (key, value) = (key.trim(), value.trim());
            if section.is_empty() {
                return Err(fail(format!("the setting `{key}` stands outside of any section")));
            }
            let specifiers = Specifiers { unit: name, hostname };
            timeout_given |= key == "TimeoutStartSec";
            unit.set(&section, key, value, &specifiers).map_err(fail)?;
        }
        unit.finish(timeout_given).map_err(|what| format!("{name}: {what}"))
    }

    /// A unit that does nothing, such as a target.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: name.to_owned(),
            after: Vec::new(),
            requires: Vec::new(),
            wants: Vec::new(),
            condition_missing: Vec::new(),
            condition_exists: Vec::new(),
            kind: Kind::Simple,
            remain_after_exit: false,
            start_pre: Vec::new(),
            start: Vec::new(),
            start_post: Vec::new(),
            environment: BTreeMap::new(),
            environment_files: Vec::new(),
            working_directory: "/".into(),
            restart: Restart::No,
            restart_direct: false,
            // systemd's defaults (systemd.service(5), systemd-system.conf(5)).
            restart_after: Duration::from_millis(100),
            restart_steps: 0,
            restart_at_most: None,
            start_limit_burst: 5,
            start_limit_interval: Duration::from_secs(10),
            start_timeout: Some(Duration::from_secs(90)),
            wanted_by: Vec::new(),
        }
    }

    fn set(&mut self, section: &str, key: &str, value: &str, specifiers: &Specifiers<'_>) -> Result<(), String> {
        let names = |list: &mut Vec<String>| {
            list.extend(value.split_whitespace().map(str::to_owned));
            Ok(())
        };
        match (section, key) {
            ("Unit", "Description") => value.clone_into(&mut self.description),
            ("Unit", "After") => return names(&mut self.after),
            ("Unit", "Requires" | "BindsTo" | "Requisite") => return names(&mut self.requires),
            ("Unit", "Wants") => return names(&mut self.wants),
            ("Unit", "ConditionPathExists") => match value.strip_prefix('!') {
                Some(path) => self.condition_missing.push(path.to_owned()),
                None => self.condition_exists.push(value.to_owned()),
            },
            ("Unit", "StartLimitIntervalSec") => self.start_limit_interval = timespan(value)?.unwrap_or(Duration::MAX),
            ("Unit", "StartLimitBurst") => self.start_limit_burst = number(value)?,
            ("Service", "Type") => {
                self.kind = match value {
                    "simple" => Kind::Simple,
                    "exec" => Kind::Exec,
                    "notify" => Kind::Notify,
                    "oneshot" => Kind::Oneshot,
                    other => return Err(format!("the service type `{other}` is unknown or not simulated")),
                }
            }
            ("Service", "RemainAfterExit") => self.remain_after_exit = boolean(value)?,
            ("Service", "ExecStart") => return add_line(&mut self.start, value, specifiers),
            ("Service", "ExecStartPre") => return add_line(&mut self.start_pre, value, specifiers),
            ("Service", "ExecStartPost") => return add_line(&mut self.start_post, value, specifiers),
            ("Service", "Environment") => {
                for word in split(value)? {
                    let word = specifiers.fill(&word)?;
                    let (name, value) =
                        word.split_once('=').ok_or_else(|| format!("`{word}` is not NAME=VALUE in Environment="))?;
                    self.environment.insert(name.to_owned(), value.to_owned());
                }
            }
            ("Service", "EnvironmentFile") => {
                let path = value.strip_prefix('-').unwrap_or(value);
                if !path.starts_with('/') {
                    return Err(format!("EnvironmentFile={value} is not an absolute path"));
                }
                self.environment_files.push((path.to_owned(), value.starts_with('-')));
            }
            ("Service", "WorkingDirectory") => value.clone_into(&mut self.working_directory),
            ("Service", "Restart") => {
                self.restart = match value {
                    "no" => Restart::No,
                    "on-failure" | "on-abnormal" => Restart::OnFailure,
                    "always" => Restart::Always,
                    other => return Err(format!("Restart={other} is unknown or not simulated")),
                }
            }
            ("Service", "RestartMode") => self.restart_direct = value == "direct",
            ("Service", "RestartSec") => self.restart_after = timespan(value)?.unwrap_or(Duration::MAX),
            ("Service", "RestartSteps") => {
                self.restart_steps = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
            }
            ("Service", "RestartMaxDelaySec") => self.restart_at_most = timespan(value)?,
            ("Service", "TimeoutStartSec") => self.start_timeout = timespan(value)?.filter(|time| !time.is_zero()),
            ("Service", "TimeoutSec") => self.start_timeout = timespan(value)?.filter(|time| !time.is_zero()),
            ("Install", "WantedBy" | "RequiredBy") => return names(&mut self.wanted_by),
            ("Unit" | "Service", key) if WITHOUT_EFFECT.contains(&key) => {}
            (section, key) => return Err(format!("unknown setting `{key}` in section `[{section}]`")),
        }
        Ok(())
    }

    /// The pause before the start after so many failures: each is the same multiple of the one before, up to the longest.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let Some(longest) = self.restart_at_most.filter(|longest| *longest > self.restart_after) else {
            return self.restart_after;
        };
        let step = failures.saturating_sub(1);
        if self.restart_steps == 0 || step == 0 || self.restart_after.is_zero() {
            return self.restart_after;
        }
        if step >= self.restart_steps {
            return longest;
        }
        let whole = longest.as_secs_f64() / self.restart_after.as_secs_f64();
        self.restart_after.mul_f64(whole.powf(f64::from(step) / f64::from(self.restart_steps)))
    }

    fn finish(mut self, timeout_given: bool) -> Result<Self, String> {
        if !self.name.ends_with(".service") {
            return Ok(self);
        }
        if self.start.is_empty() {
            return Err("Service has no ExecStart= setting. Refusing.".into());
        }
        if self.kind == Kind::Oneshot {
            if !timeout_given {
                self.start_timeout = None;
            }
            if self.restart == Restart::Always {
                return Err("Restart=always is not allowed for Type=oneshot services. Refusing.".into());
            }
        } else if self.start.len() > 1 {
            return Err("more than one ExecStart= setting, which is only allowed for Type=oneshot services".into());
        }
        Ok(self)
    }
}

fn add_line(list: &mut Vec<ExecLine>, value: &str, specifiers: &Specifiers<'_>) -> Result<(), String> {
    if value.is_empty() {
        // An empty assignment resets the list.
        list.clear();
        return Ok(());
    }
    list.push(ExecLine::parse(value, specifiers)?);
    Ok(())
}

/// Lines with their numbers: comments and empty ones dropped, those that end in a backslash joined with the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || line.starts_with(';') || (line.is_empty() && continued.is_none()) {
            continue;
        }
        let (number, mut whole) = continued.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                whole.push(' ');
                continued = Some((number, whole));
            }
            None => {
                whole.push_str(line);
                lines.push((number, whole));
            }
        }
    }
    lines.extend(continued);
    lines
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        other => Err(format!("`{other}` is neither yes nor no")),
    }
}

fn number(value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("`{value}` is not a number"))
}

/// A span of time such as `5`, `90s`, `1min 30s`, `250ms`; `None` for `infinity`.
fn timespan(value: &str) -> Result<Option<Duration>, String> {
    if value == "infinity" {
        return Ok(None);
    }
    let bad = || format!("`{value}` is not a span of time");
    let mut total = Duration::ZERO;
    let mut rest = value.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let amount: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let tail = rest[digits..].trim_start();
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        total += match &tail[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => Duration::from_secs(amount),
            "ms" | "msec" => Duration::from_millis(amount),
            "us" | "usec" => Duration::from_micros(amount),
            "m" | "min" | "minute" | "minutes" => Duration::from_secs(60 * amount),
            "h" | "hr" | "hour" | "hours" => Duration::from_secs(3600 * amount),
            "d" | "day" | "days" => Duration::from_secs(86_400 * amount),
            _ => return Err(bad()),
        };
        rest = tail[letters..].trim_start();
    }
    Ok(Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Unit, String> {
        Unit::parse("a.service", text, "node01")
    }

    #[test]
    fn a_oneshot_with_everything_is_read() {
        let unit = parse(
            "# why\n[Unit]\nDescription=Fetch\nAfter=network-online.target b.service\nWants=network-online.target\n\
             Requires=b.service\nStartLimitIntervalSec=0\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
             EnvironmentFile=-/etc/p.env\nEnvironment=A=1 \"B=x y\"\nExecStart=/usr/bin/curl --fail \\\n  -o /x URL\n\
             ExecStart=-/usr/bin/true\nRestart=on-failure\nRestartSec=1min 5s\n[Install]\nWantedBy=multi-user.target\n",
        )
        .unwrap();
        assert_eq!((unit.kind, unit.start.len(), unit.remain_after_exit), (Kind::Oneshot, 2, true));
        assert_eq!(unit.start[0].argv(&BTreeMap::new()), ["/usr/bin/curl", "--fail", "-o", "/x", "URL"]);
        assert_eq!((unit.restart, unit.restart_after), (Restart::OnFailure, Duration::from_secs(65)));
        assert_eq!(unit.environment.get("B").map(String::as_str), Some("x y"));
        assert_eq!(unit.environment_files, [("/etc/p.env".to_owned(), true)]);
        assert_eq!((unit.start_timeout, unit.start_limit_interval), (None, Duration::ZERO));
        assert_eq!(unit.after, ["network-online.target", "b.service"]);
    }

    #[test]
    fn the_pause_between_starts_grows_in_steps() {
        let text = "[Service]\nType=oneshot\nExecStart=/bin/true\nRestart=on-failure\nRestartSec=10\n";
        let unit = parse(&format!("{text}RestartSteps=2\nRestartMaxDelaySec=40\n")).unwrap();
        let pauses: Vec<u64> = (1..=4).map(|failures| unit.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 40]);
        assert_eq!(parse(text).unwrap().pause(9), Duration::from_secs(10));
    }

    #[test]
    fn what_systemd_would_ignore_or_refuse_is_an_error_with_its_line() {
        for (text, reason) in [
            ("[Unit]\nAftr=x\n", "a.service:2: unknown setting `Aftr`"),
            ("[Servce]\n", "unknown section `[Servce]`"),
            ("ExecStart=/bin/true\n", "outside of any section"),
            ("[Service]\nType=forking\nExecStart=/bin/true\n", "`forking`"),
            ("[Service]\nType=oneshot\n", "no ExecStart="),
            ("[Service]\nExecStart=/bin/true\nExecStart=/bin/true\n", "more than one ExecStart"),
            ("[Service]\nType=oneshot\nExecStart=/bin/true\nRestart=always\n", "not allowed for Type=oneshot"),
            ("[Service]\nExecStart=/bin/true\nRestartSec=soon\n", "`soon` is not a span of time"),
            ("[Service]\nExecStart=curl\n", "absolute path"),
            ("[Service]\nEnvironment=A\n", "NAME=VALUE"),
            ("[Service\n", "not a section"),
            ("what\n", "neither a section nor a setting"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

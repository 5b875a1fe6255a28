//! `curl`, as far as a node needs it: a real download that honours the proxy variables and the given CA.

use super::{
    Machine,
    process::{Exit, Process},
};
use bytes::Bytes;
use ferrogate_model::{
    Explain as _,
    fault::chain,
    proxy::{NoProxy, ProxySettings, ProxyUrl},
};
use ferrogate_net::{ConnectFailure, HttpClient, HttpError, Trust, client::HttpFailure};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use std::{io::Write as _, sync::Arc, time::Duration};
use tokio::time::Instant;

/// curl's own limit for opening a connection, and ours for a whole transfer where none is given.
const TRANSFER_DEADLINE: Duration = Duration::from_secs(3600);
/// Redirects followed, as curl's default.
const MAX_REDIRECTS: usize = 50;
/// Pauses double from one second up to this, as curl's do.
const MAX_PAUSE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Options {
    urls: Vec<String>,
    output: Option<String>,
    fail: bool,
    location: bool,
    create_dirs: bool,
    cacert: Option<String>,
    headers: Vec<(String, String)>,
    retries: u32,
    retry_delay: Option<Duration>,
    retry_max_time: Option<Duration>,
    retry_refused: bool,
    retry_all: bool,
    max_time: Option<Duration>,
    https_only: bool,
    no_proxy: Option<String>,
}

/// A transfer that failed: curl's exit code, words, and whether curl calls it transient.
struct Failure {
    exit: Exit,
    transient: bool,
    refused: bool,
}

impl Failure {
    fn new(code: u8, why: impl std::fmt::Display) -> Self {
        Self { exit: Exit::failure(code, format!("curl: ({code}) {why}")), transient: false, refused: false }
    }
}

/// Runs curl.
pub(super) async fn run(machine: &Arc<Machine>, process: &Process) -> Exit {
    let options = match Options::parse(&process.argv[1..]) {
        Ok(options) => options,
        Err(why) => return Exit::failure(2, format!("curl: (2) {why}")),
    };
    let [url] = options.urls.as_slice() else {
        return Exit::failure(2, "curl: (2) exactly one URL is simulated");
    };
    let started = Instant::now();
    let mut pause = options.retry_delay.unwrap_or(Duration::from_secs(1));
    let mut left = options.retries;
    loop {
        let deadline = options.max_time.unwrap_or(TRANSFER_DEADLINE);
        let done = tokio::time::timeout(deadline, transfer(machine, process, &options, url)).await;
        let failure = match done {
            Ok(Ok(())) => return Exit::SUCCESS,
            Ok(Err(failure)) => failure,
            Err(_) => {
                Failure { transient: true, ..Failure::new(28, format!("operation timed out after {deadline:?}")) }
            }
        };
        let again = failure.transient || options.retry_all || (failure.refused && options.retry_refused);
        let in_time = options.retry_max_time.is_none_or(|limit| started.elapsed() + pause < limit);
        if left == 0 || !again || !in_time {
            return failure.exit;
        }
        machine.console.say(&process.source, format!("{}; {left} retries left", failure.exit.why));
        left -= 1;
        tokio::time::sleep(pause).await;
        if options.retry_delay.is_none() {
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if !argument.starts_with('-') {
                options.urls.push(argument.clone());
                continue;
            }
            let (name, inline) = match argument.split_once('=') {
                // curl itself knows no `--option=value`; `--proto =https` has its sign in the value.
                Some((_, _)) if argument.starts_with("--") => {
                    return Err(format!("option {argument}: is unknown"));
                }
                _ => (argument.as_str(), None::<String>),
            };
            if let Some(letters) = name.strip_prefix('-').filter(|letters| !letters.starts_with('-')) {
                for (at, letter) in letters.char_indices() {
                    let tail = &letters[at + letter.len_utf8()..];
                    if options.flag(short(letter).ok_or(format!("option -{letter}: is unknown"))?) {
                        continue;
                    }
                    let value = if tail.is_empty() { rest.next().cloned() } else { Some(tail.to_owned()) };
                    options.valued(short(letter).unwrap_or_default(), value)?;
                    break;
                }
                continue;
            }
            if !options.flag(name) {
                options.valued(name, inline.or_else(|| rest.next().cloned()))?;
            }
        }
        Ok(options)
    }

    /// Options without a value.
    fn flag(&mut self, name: &str) -> bool {
        match name {
            "--fail" | "--fail-with-body" => self.fail = true,
            "--location" => self.location = true,
            "--create-dirs" => self.create_dirs = true,
            "--retry-connrefused" => self.retry_refused = true,
            "--retry-all-errors" => self.retry_all = true,
            "--silent"
            | "--show-error"
            | "--globoff"
            | "--tlsv1.2"
            | "--tlsv1.3"
            | "--http1.1"
            | "--compressed"
            | "--no-progress-meter"
            | "--remove-on-error"
            | "--disable" => {}
            _ => return false,
        }
        true
    }

    fn valued(&mut self, name: &str, value: Option<String>) -> Result<(), String> {
        let known = [
            "--output",
            "--cacert",
            "--header",
            "--retry",
            "--retry-delay",
            "--retry-max-time",
            "--max-time",
            "--connect-timeout",
            "--proto",
            "--proto-redir",
            "--noproxy",
            "--speed-limit",
            "--speed-time",
            "--url",
            "--user-agent",
            "--max-redirs",
        ];
        if !known.contains(&name) {
            return Err(format!("option {name}: is unknown"));
        }
        let value = value.ok_or(format!("option {name}: requires parameter"))?;
        let seconds = || {
            let number: f64 =
                value.parse().map_err(|_| format!("option {name}: expected a proper numerical parameter"))?;
            Duration::try_from_secs_f64(number).map_err(|error| format!("option {name}: {error}"))
        };
        match name {
            "--output" => self.output = Some(value),
            "--url" => self.urls.push(value),
            "--cacert" => self.cacert = Some(value),
            "--noproxy" => self.no_proxy = Some(value),
            "--proto" => self.https_only = value == "=https",
            "--header" => {
                let (key, text) = value.split_once(':').ok_or("option --header: expected NAME: VALUE")?;
                self.headers.push((key.trim().to_owned(), text.trim().to_owned()));
            }
            "--retry" => {
                self.retries =
                    value.parse().map_err(|_| format!("option {name}: expected a proper numerical parameter"))?;
            }
            "--retry-delay" => self.retry_delay = Some(seconds()?).filter(|pause| !pause.is_zero()),
            "--retry-max-time" => self.retry_max_time = Some(seconds()?).filter(|limit| !limit.is_zero()),
            "--max-time" => self.max_time = Some(seconds()?).filter(|limit| !limit.is_zero()),
            _ => {}
        }
        Ok(())
    }
}

const fn short(letter: char) -> Option<&'static str> {
    Some(match letter {
        'f' => "--fail",
        's' => "--silent",
        'S' => "--show-error",
        'L' => "--location",
        'o' => "--output",
        'H' => "--header",
        'm' => "--max-time",
        'A' => "--user-agent",
        'g' => "--globoff",
        'q' => "--disable",
        _ => return None,
    })
}

async fn transfer(machine: &Arc<Machine>, process: &Process, options: &Options, url: &str) -> Result<(), Failure> {
    let client = client(machine, process, options)?;
    let mut url = url::Url::parse(url).map_err(|error| Failure::new(3, format!("URL rejected: {error}")))?;
    for _ in 0..=MAX_REDIRECTS {
        match url.scheme() {
            "https" => {}
            "http" if !options.https_only => {}
            other => return Err(Failure::new(1, format!("Protocol \"{other}\" not supported or disabled"))),
        }
        let mut request = Request::get(url.as_str()).header("accept", "*/*").header("user-agent", "curl/8.5.0");
        for (name, value) in &options.headers {
            let bad = |_| Failure::new(43, format!("the header `{name}` cannot be sent"));
            let name: HeaderName = name.parse().map_err(|_| bad(()))?;
            request = request.header(name, HeaderValue::from_str(value).map_err(|_| bad(()))?);
        }
        let request = request.body(Bytes::new()).map_err(|error| Failure::new(3, error))?;
        let answer = client.send_streaming(request, TRANSFER_DEADLINE).await.map_err(|error| network(&error))?;
        let status = answer.status();
        if let (true, true, Some(to)) = (options.location, status.is_redirection(), answer.headers().get("location")) {
            let to = to.to_str().map_err(|error| Failure::new(3, error))?;
            url = url.join(to).map_err(|error| Failure::new(3, error))?;
            continue;
        }
        if options.fail && status.as_u16() >= 400 {
            // curl's list of transient HTTP answers.
            let transient = matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
            let why = format!("The requested URL returned error: {}", shown(status));
            return Err(Failure { transient, ..Failure::new(22, why) });
        }
        return save(machine, process, options, answer.into_body()).await;
    }
    Err(Failure::new(47, format!("Maximum ({MAX_REDIRECTS}) redirects followed")))
}

fn shown(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim().to_owned()
}

async fn save(
    machine: &Machine,
    process: &Process,
    options: &Options,
    mut body: ferrogate_net::BodyStream,
) -> Result<(), Failure> {
    let output = options.output.as_deref().map(|path| process.path(path));
    let cannot = |error: std::io::Error| {
        let path = output.as_deref().unwrap_or("-");
        Failure::new(23, format!("failure writing output to destination {path}: {error}"))
    };
    let mut file = match &output {
        Some(path) if path != "/dev/null" => {
            if let (true, Some((parent, _))) = (options.create_dirs, path.rsplit_once('/')) {
                machine.disk.create_dirs(if parent.is_empty() { "/" } else { parent }).map_err(cannot)?;
            }
            Some(machine.disk.open_for_writing(path, false, 0o644).map_err(cannot)?)
        }
        _ => None,
    };
    while let Some(piece) = body.chunk().await.map_err(|error| network(&error))? {
        if let Some(file) = &mut file {
            file.write_all(&piece).map_err(cannot)?;
        }
    }
    Ok(())
}

fn client(machine: &Arc<Machine>, process: &Process, options: &Options) -> Result<HttpClient, Failure> {
    let trust = match &options.cacert {
        Some(path) => {
            let path = process.path(path);
            let bad = |why: &dyn std::fmt::Display| {
                Failure::new(77, format!("error setting certificate file: {path}: {why}"))
            };
            Trust::ca(machine.disk.read_text(&path).map_err(|error| bad(&error))?)
        }
        None => Trust::system(),
    };
    let proxy = proxy(process, options).map_err(|why| Failure::new(5, why))?;
    HttpClient::builder(machine.connector())
        .trust(trust)
        .proxy(proxy)
        .build()
        .map_err(|error| Failure::new(77, chain(&error)))
}

/// The proxy variables as curl reads them: `http_proxy` in lower case only.
fn proxy(process: &Process, options: &Options) -> Result<ProxySettings, String> {
    let variable = |names: &[&str]| {
        let value = names.iter().find_map(|name| process.environment.get(*name)).filter(|value| !value.is_empty());
        value.map(|value| value.parse::<ProxyUrl>().map_err(|error| error.to_string())).transpose()
    };
    let all = variable(&["all_proxy", "ALL_PROXY"])?;
    let no_proxy = options
        .no_proxy
        .as_ref()
        .or_else(|| process.environment.get("no_proxy"))
        .or_else(|| process.environment.get("NO_PROXY"));
    let no_proxy: NoProxy = no_proxy.map(String::as_str).unwrap_or_default().parse().unwrap_or_default();
    let https = variable(&["https_proxy", "HTTPS_PROXY"])?.or_else(|| all.clone());
    Ok(ProxySettings { https, http: variable(&["http_proxy"])?.or(all), no_proxy })
}

/// curl's exit code for what went wrong underneath.
fn network(error: &HttpError) -> Failure {
    let words = format!("{} [{}]", chain(error), error.code());
    match &error.failure {
        HttpFailure::Connect(error) => match error.failure {
            ConnectFailure::Dns => Failure::new(6, words),
            ConnectFailure::Timeout => Failure { transient: true, ..Failure::new(28, words) },
            ConnectFailure::Tls => Failure::new(60, words),
            ConnectFailure::Refused => Failure { refused: true, ..Failure::new(7, words) },
            ConnectFailure::ProxyCredentials | ConnectFailure::ProxyStatus(_) => Failure::new(56, words),
            ConnectFailure::Unreachable
            | ConnectFailure::NotAllowed
            | ConnectFailure::NoCarrier
            | ConnectFailure::Budget
            | ConnectFailure::Other => Failure::new(7, words),
        },
        HttpFailure::Timeout { .. } => Failure { transient: true, ..Failure::new(28, words) },
        HttpFailure::Trust { .. } => Failure::new(77, words),
        HttpFailure::Address { .. } => Failure::new(3, words),
        HttpFailure::NotHttp { .. } => Failure::new(1, words),
        HttpFailure::Closed { .. } | HttpFailure::TooLong { .. } => Failure::new(56, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_options_of_a_node_are_understood_and_no_others() {
        let options = parse(
            "--fail --silent --show-error --location --retry 8 --retry-delay 2 --retry-connrefused --create-dirs \
             --cacert /ca --output /x https://p/y",
        )
        .unwrap();
        assert_eq!((options.retries, options.retry_delay), (8, Some(Duration::from_secs(2))));
        assert_eq!((options.cacert.as_deref(), options.output.as_deref()), (Some("/ca"), Some("/x")));
        assert!(options.fail && options.location && options.create_dirs && options.retry_refused);
        let options = parse("-fsSLo /x -HA:b --proto =https https://p").unwrap();
        assert!(options.fail && options.https_only && options.output.as_deref() == Some("/x"));
        assert_eq!(options.headers, [("A".to_owned(), "b".to_owned())]);
        for (line, reason) in [
            ("--fial x", "--fial: is unknown"),
            ("--output=/x u", "is unknown"),
            ("-Z u", "-Z"),
            ("u -o", "requires"),
            ("--retry many u", "numerical"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn the_upper_case_http_proxy_variable_is_not_read() {
        let mut process = Process::new("t", Vec::new(), tokio_util::sync::CancellationToken::new());
        process.environment.insert("HTTP_PROXY".into(), "http://p:1".into());
        process.environment.insert("HTTPS_PROXY".into(), "http://q:2".into());
        process.environment.insert("no_proxy".into(), "maas".into());
        let settings = proxy(&process, &Options::default()).unwrap();
        assert!(settings.http.is_none());
        assert_eq!(settings.for_host("plane", true).unwrap().port(), 2);
        assert!(settings.for_host("maas", true).is_none());
    }
}

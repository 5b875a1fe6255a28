//! The page at `/` until the console comes: what this is and how to go on from a terminal. Self-contained, no script.

use std::fmt::Write as _;

/// Lets the page use its own style and nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The style of our pages, served from `/style.css` so that no inline style is needed.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.55 system-ui,sans-serif}\
body{max-width:46rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
pre{padding:.75rem 1rem;border:1px solid #8886;border-radius:6px;overflow-x:auto}\
a{color:inherit}.quiet{opacity:.75}";

/// The landing page. `url` is the plane's own address.
pub(crate) fn landing(url: &str, is_set_up: bool) -> String {
    let url = escape(url.trim_end_matches('/'));
    let first = if is_set_up {
        String::new()
    } else {
        format!(
            "<h2>First start</h2><p>This plane has no administrator yet. It printed a one-time set-up token when it started; give it to</p>\
             <pre>ferrogate setup {url}</pre>"
        )
    };
    page(
        "Ferrogate plane",
        &format!(
            "<p class=\"quiet\">version {}</p>\
             <p>This is the management plane of Ferrogate: it builds Kubernetes clusters on the machines of private MAAS sites, \
             through gateways that connect outward to this address.</p>{first}\
             <h2>Sign in</h2><pre>ferrogate login {url}\nferrogate get gateways</pre>\
             <h2>Connect a site</h2><pre>ferrogate pairing create</pre>\
             <p>shows a pairing code and the command that installs a gateway with it.</p>\
             <h2>For programs</h2><p>The API is described by <a href=\"/api/v1/openapi.json\">its OpenAPI document</a>.</p>",
            env!("CARGO_PKG_VERSION")
        ),
    )
}

/// The page about one kind of problem.
pub(crate) fn problem(code: &str) -> String {
    let code = escape(code);
    page(
        &format!("Problem: {code}"),
        &format!(
            "<p><code>{code}</code> is a stable code of this plane's API. The answer that carried it says in \
             <code>detail</code> what happened and in <code>hint</code> what to do; its <code>request_id</code> finds the \
             request in the plane's log and audit.</p>"
        ),
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/style.css\"><title>{title}</title><main><h1>{title}</h1>{body}</main></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if c.is_alphanumeric() || " .:/-_@[]".contains(c) {
            safe.push(c);
        } else {
            write!(safe, "&#{};", u32::from(c)).expect("writing to a String cannot fail");
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = problem("<script>alert('x')</script>");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn the_set_up_is_mentioned_only_while_it_is_needed() {
        assert!(landing("https://plane.example.com/", false).contains("set-up token"));
        assert!(!landing("https://plane.example.com/", true).contains("set-up token"));
    }
}

//! `protocol/index.html`: all of it for people who read, on one page that asks nobody for anything.

use std::collections::BTreeSet;
use std::fmt::Write;

use studyhall_protocol::codes::CODES;
use studyhall_protocol::error::{Disconnect, Unsubscribed};
use studyhall_protocol::routes::BASE;

use crate::model::{Call, Line, Model};
use crate::typescript::{declaration, type_of};

const HEAD: &str = include_str!("head.html");

/// The whole page.
pub fn html(model: &Model) -> String {
    let names: BTreeSet<String> = model.types.keys().cloned().collect();
    let page = Page { names };
    let mut out = HEAD.replace("<version>", env!("CARGO_PKG_VERSION"));
    section(&mut out, "rest", "REST", &format!("Below <code>{BASE}</code>."));
    model.calls.iter().for_each(|call| page.call(&mut out, call));
    section(&mut out, "commands", "Commands", "By <code>rpc</code>; the same as the calls of REST that name them.");
    model.methods.iter().for_each(|line| page.line(&mut out, line, "command"));
    section(&mut out, "events", "Events", "Numbered, in the order of their commits, on the channel that is named.");
    model.events.iter().for_each(|line| page.line(&mut out, line, "event"));
    section(
        &mut out,
        "publications",
        "Publications",
        "Without a number: slots, whose latest value is kept, and broadcasts.",
    );
    for live in &model.live {
        let kind = &live.kind;
        let data = page.linked(&type_of(&live.data, 0));
        let _ = writeln!(
            out,
            "<article><h3>{} <small>on {}</small></h3><p>{}</p><p>data: <code>{data}</code></p></article>",
            kind.name,
            kind.on,
            text(kind.doc)
        );
    }
    codes(&mut out);
    section(
        &mut out,
        "types",
        "Types",
        "In the words of TypeScript; <code>Uuid</code>, <code>Timestamp</code> and <code>Day</code> are strings.",
    );
    for (name, shape) in &model.types {
        let _ = writeln!(
            out,
            "<article id=\"type-{name}\"><h3>{name}</h3><pre>{}</pre></article>",
            page.linked(declaration(name, shape).trim())
        );
    }
    out.push_str("</main>\n</html>\n");
    out
}

struct Page {
    names: BTreeSet<String>,
}

impl Page {
    fn call(&self, out: &mut String, call: &Call) {
        let route = &call.route;
        let _ = writeln!(
            out,
            "<article><h3><b>{}</b> {}</h3><p>{}</p><dl>",
            route.method,
            text(route.path),
            text(call.doc)
        );
        if let Some(command) = route.command {
            let _ = writeln!(out, "<dt>command</dt><dd><a href=\"#command-{command}\">{command}</a></dd>");
        }
        let paging: &[(&str, &str)] =
            &[("limit", "Rows on a page."), ("cursor", "The `next_cursor` of the page before.")];
        for (name, doc) in route.query.iter().chain(if route.paged { paging } else { &[] }) {
            let _ = writeln!(out, "<dt>?{name}</dt><dd>{}</dd>", text(doc));
        }
        if !call.takes_nothing() {
            let _ = writeln!(out, "<dt>body</dt><dd><code>{}</code></dd>", self.linked(&type_of(&call.body, 0)));
        }
        let answer = if call.answer.is_null() { "nothing".into() } else { self.linked(&type_of(&call.answer, 0)) };
        let _ = writeln!(out, "<dt>{}</dt><dd><code>{answer}</code></dd>", route.status());
        if !route.fails.is_empty() {
            let links: Vec<_> = route.fails.iter().map(|code| format!("<a href=\"#code-{code}\">{code}</a>")).collect();
            let _ = writeln!(out, "<dt>errors</dt><dd>{}</dd>", links.join(", "));
        }
        out.push_str("</dl></article>\n");
    }

    fn line(&self, out: &mut String, line: &Line, what: &str) {
        let name = line.message.name;
        let on = line.message.on.map_or(String::new(), |on| format!(" <small>on {on}</small>"));
        let _ = writeln!(
            out,
            "<article id=\"{what}-{name}\"><h3>{name}{on}</h3><p>{}</p><dl><dt>data</dt><dd><code>{}</code></dd>",
            text(line.message.doc.trim()),
            self.linked(&type_of(&line.data, 0))
        );
        if !line.answer.is_null() {
            let answer = self.linked(&type_of(&line.answer, 0));
            let _ = writeln!(out, "<dt>answer</dt><dd><code>{answer}</code></dd>");
        }
        out.push_str("</dl></article>\n");
    }

    /// Code with links from the names of types to where they are.
    fn linked(&self, code: &str) -> String {
        let mut out = String::new();
        let mut word = String::new();
        for c in code.chars().chain(['\n']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if self.names.contains(&word) {
                let _ = write!(out, "<a href=\"#type-{word}\">{word}</a>");
            } else {
                out.push_str(&word);
            }
            word.clear();
            out.push_str(&escape(&c.to_string()));
        }
        out.trim_end().to_owned()
    }
}

fn codes(out: &mut String) {
    section(out, "codes", "Errors", "<code>code</code> of a problem; an <code>rpc</code> error begins with it.");
    out.push_str("<table><tr><th>code</th><th>status</th><th>rpc</th><th>what happened, what to do</th></tr>\n");
    for code in CODES {
        let status = code.status.map_or("–".into(), |status| status.to_string());
        let rpc: Vec<_> = code.rpc.iter().map(u32::to_string).collect();
        let _ = writeln!(
            out,
            "<tr id=\"code-{0}\"><td><code>{0}</code></td><td>{status}</td><td>{1}</td><td>{2}</td></tr>",
            code.code,
            rpc.join(", "),
            text(code.text)
        );
    }
    out.push_str("</table>\n<h3>Connections and subscriptions that end</h3>\n<table>\n");
    let closed = Disconnect::ALL.iter().map(|end| (u32::from(end.code), end.reason));
    for (code, reason) in closed.chain(Unsubscribed::ALL.iter().map(|end| (end.code, end.reason))) {
        let _ = writeln!(out, "<tr><td>{code}</td><td>{}</td></tr>", escape(reason));
    }
    out.push_str("</table>\n");
}

fn section(out: &mut String, id: &str, title: &str, about: &str) {
    let _ = writeln!(out, "<h2 id=\"{id}\">{title}</h2>\n<p>{about}</p>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A sentence, with code between backticks.
fn text(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect()
}

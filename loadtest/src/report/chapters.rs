//! What is said about each scenario, and which figures are drawn.

/// What there is to say about a scenario before its figures.
pub struct Chapter {
    /// Of the runs.
    pub scenario: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What happens, for somebody who has not read the code.
    pub about: &'static str,
    /// What is counted: one of them.
    pub counted: &'static str,
    /// Many of them.
    pub many: &'static str,
}

const DELIVERY: (&str, &str) = ("delivery", "deliveries");
const COMMAND: (&str, &str) = ("command", "commands");

const fn chapter(
    scenario: &'static str,
    title: &'static str,
    about: &'static str,
    (counted, many): (&'static str, &'static str),
) -> Chapter {
    Chapter { scenario, title, about, counted, many }
}

/// Of a scenario that is in no list.
pub const UNKNOWN: Chapter = chapter("", "", "", DELIVERY);

/// In the order of the document.
pub const CHAPTERS: &[Chapter] = &[
    chapter(
        "rooms",
        "Many small rooms",
        "People in rooms of four drag widgets; everybody in the room gets every value, the author too. Sends follow a schedule, \
         and latency counts from the scheduled time. Studyhall takes drags by `publish`, answers each, checks that the author may \
         write, and keeps the value in a slot of its own.",
        DELIVERY,
    ),
    chapter("rooms:send", "Many small rooms, by `send`", "The same without replies.", DELIVERY),
    chapter(
        "rooms:highest",
        "Many small rooms, faster and faster",
        "The rate rises until the p99 passes 100 ms or something is lost; the last rate that held counts.",
        DELIVERY,
    ),
    chapter(
        "rooms:lecture",
        "Small rooms beside a lecture",
        "Rooms as above, while a room of thousands gets broadcasts on the same node: what a large room costs the small ones.",
        DELIVERY,
    ),
    chapter("lecture", "A lecture", "One room of thousands; broadcasts to all of them.", DELIVERY),
    chapter(
        "lecture:highest",
        "A lecture, faster and faster",
        "The rate rises until the p99 passes 250 ms or something is lost; the last rate that held counts.",
        DELIVERY,
    ),
    chapter(
        "flood",
        "A flood",
        "One room, closed loop: a fixed number of broadcasts is on its way at any time. Servers that merge what is pending \
         into one write win by an order of magnitude, so the merged floor is the measure.",
        DELIVERY,
    ),
    chapter("idle", "Idle connections", "Everybody is connected and subscribed, and nothing happens.", DELIVERY),
    chapter(
        "storm",
        "A storm of connects",
        "All connect at once, with tokens that the server has never seen.",
        DELIVERY,
    ),
    chapter(
        "storm:resume",
        "A storm of resumes",
        "All connections are lost at once and come back, each some events behind.",
        DELIVERY,
    ),
    chapter(
        "storm:tabs",
        "A storm of resumes, as tabs have it",
        "The same, and each connection is subscribed to its own channel and to ten profiles besides.",
        DELIVERY,
    ),
    chapter(
        "tasks",
        "Durable commands",
        "Clients tick tasks, each sending when the one before is acknowledged; an acknowledged command is committed to disk. \
         `pgbench` commits one prepared statement that writes the same rows.",
        COMMAND,
    ),
    chapter(
        "tasks:latency",
        "Durable commands: time to the last receiver",
        "On a schedule; from the scheduled time until the last of the room has the event.",
        COMMAND,
    ),
    chapter("feed", "Feeds", "Likes and comments on posts that everybody looks at.", COMMAND),
    chapter("feed:likes", "Likes on one hot post", "Everybody likes the same post.", ("like", "likes")),
    chapter(
        "reads",
        "Pages over REST",
        "Clients load a page, each again when it has been answered: the home page, a room of four, the feed of somebody who \
         follows twenty people.",
        ("request", "requests"),
    ),
    chapter(
        "presence",
        "People coming and going",
        "Some change their status, the others watch their pills.",
        ("pill", "pills"),
    ),
    chapter("day", "A day", "A mix of everything above.", DELIVERY),
];

/// Figures that are worth a plot: the name, the title, the unit.
pub const PLOTTED: &[(&str, &str, &str)] = &[
    ("highest_per_s", "highest rate", "deliveries/s"),
    ("rss_kib_per_connection", "memory per connection", "KiB"),
    ("memory_per_connection_kib", "memory per connection", "KiB"),
    ("cpu_per_connection_ms", "server CPU per connection", "ms"),
    ("opening_cpu_ms_per_connection", "server CPU to open a connection", "ms"),
];

/// The chapter that a scenario belongs to, and its place: the one of its name, or for `day:evening` that of `day`.
pub fn chapter_of(scenario: &str) -> Option<(usize, &'static Chapter)> {
    let named = |name: &str| CHAPTERS.iter().enumerate().find(|(_, chapter)| chapter.scenario == name);
    named(scenario).or_else(|| named(scenario.split_once(':')?.0))
}

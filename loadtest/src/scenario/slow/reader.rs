//! Somebody who reads the room, fast or slowly, and resumes when the connection ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Deserialize;
use studyhall_protocol::client::{self, Pub, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::rest::Position;
use uuid::Uuid;

use super::{Shared, fingerprint};
use crate::client::{Closed, Options, Sender, open};

/// The state of one reader, across its connections.
pub struct Reader {
    shared: Rc<Shared>,
    token: String,
    writers: HashMap<Uuid, usize>,
    receive_buffer: Option<u32>,
    position: RefCell<Option<Position>>,
    events: Cell<u64>,
    sum: Cell<u64>,
    sender: RefCell<Option<Sender>>,
    stopped: Cell<bool>,
}

/// The part of a widget that matters here.
#[derive(Deserialize)]
struct Numbered {
    id: Uuid,
    settings: Settings,
}

#[derive(Deserialize)]
struct Settings {
    n: Option<u64>,
}

impl Reader {
    /// Starts to read; slowly, when it has a small receive buffer.
    pub fn start(shared: Rc<Shared>, token: &str, widgets: &[Uuid], receive_buffer: Option<u32>) -> Rc<Self> {
        let writers = widgets.iter().enumerate().map(|(writer, widget)| (*widget, writer)).collect();
        let reader = Rc::new(Self {
            shared,
            token: token.to_owned(),
            writers,
            receive_buffer,
            position: RefCell::default(),
            events: Cell::default(),
            sum: Cell::default(),
            sender: RefCell::default(),
            stopped: Cell::default(),
        });
        let running = reader.clone();
        tokio::task::spawn_local(async move {
            while let Err(error) = running.connection().await {
                if running.stopped.get() {
                    return;
                }
                if !error.downcast_ref::<Closed>().is_some_and(Closed::resumable) {
                    running.shared.broken.set(running.shared.broken.get() + 1);
                    return running.shared.complain(format!("{error:#}"));
                }
                *running.shared.resumed.borrow_mut().entry(error.to_string()).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        reader
    }

    /// How many numbered events it has seen.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// Whether it has seen exactly these.
    pub fn has(&self, events: u64, promised: u64) -> bool {
        self.events.get() == events && self.sum.get() == promised
    }

    /// Ends the connection.
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Some(sender) = self.sender.take() {
            sender.close();
        }
    }

    async fn connection(&self) -> Result<()> {
        let pace = self.receive_buffer.map(|_| self.shared.pace.clone());
        let options = Options { receive_buffer: self.receive_buffer, pace };
        let (sender, mut receiver) = open(&self.shared.host, options).await?;
        let since = self.position.borrow().clone();
        let wishes = Wishes { since: since.as_ref(), reject_unrecovered: true, join_leave: false };
        let subscribe = client::subscribe(2, self.shared.channel, wishes);
        sender.send(&format!("{}\n{subscribe}", client::connect(1, &self.token)))?;
        *self.sender.borrow_mut() = Some(sender);
        let listening = receiver.listen(|line, at| match self.line(line, at) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
        Err(listening.await?)
    }

    fn line(&self, line: ServerLine<'_>, at: Instant) -> Result<()> {
        match line {
            ServerLine::Reply { result: Ok(Reply::Subscribe(seat)), .. } => {
                let mut position = self.position.borrow_mut();
                if position.as_ref().is_some_and(|position| !seat.recovered || seat.offset != position.offset) {
                    bail!("resumed elsewhere: {seat:?}");
                }
                if position.is_none() {
                    self.shared.ready.set(self.shared.ready.get() + 1);
                }
                *position = Some(Position { channel: self.shared.channel, offset: seat.offset, epoch: seat.epoch });
                seat.publications.iter().try_for_each(|publication| self.event(publication, position.as_mut(), at))
            }
            ServerLine::Push { push: Push::Pub(publication), .. } => {
                self.event(&publication, self.position.borrow_mut().as_mut(), at)
            }
            ServerLine::Reply { result: Err(error), .. } => Err(error.into()),
            ServerLine::Push { push: Push::Unsubscribe(ended), .. } => bail!("unsubscribed: {ended:?}"),
            ServerLine::Ping | ServerLine::Reply { .. } | ServerLine::Push { .. } => Ok(()),
        }
    }

    fn event(&self, publication: &Pub<'_>, position: Option<&mut Position>, at: Instant) -> Result<()> {
        let (Some(offset), Some(position)) = (publication.offset, position) else {
            return Ok(());
        };
        if offset != position.offset + 1 {
            bail!("event {offset} came after event {}", position.offset);
        }
        position.offset = offset;
        let said = publication.read().filter(|said| said.kind == "widget.updated");
        let Some(data) = said.and_then(|said| said.data) else {
            return Ok(());
        };
        let Numbered { id, settings: Settings { n: Some(number) } } = serde_json::from_str(data.get())? else {
            return Ok(());
        };
        let Some(&writer) = self.writers.get(&id) else { bail!("an event of another room") };
        self.events.set(self.events.get() + 1);
        self.sum.set(self.sum.get().wrapping_add(fingerprint(offset, writer as u64, number)));
        if self.receive_buffer.is_none()
            && let Some(sent) = self.shared.sent_at.borrow()[writer].get(number as usize).copied().flatten()
        {
            self.shared.latency.borrow_mut().record(at.saturating_duration_since(sent));
        }
        Ok(())
    }
}

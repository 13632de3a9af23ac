//! Somebody who changes a widget over and over, several commands ahead of their acknowledgements.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use studyhall_protocol::Answer;
use studyhall_protocol::client::{self, Reply, ServerLine};
use uuid::Uuid;

use super::{Shared, SlowArgs, fingerprint};
use crate::client::{Options, Sender, open};
use crate::setup::Account;

/// What a fresh connection may send at once; the server allows a little more.
const BURST: f64 = 1_000.0;

/// The state of one writer.
pub struct Writer {
    shared: Rc<Shared>,
    index: usize,
    widget: Uuid,
    sender: Sender,
    window: usize,
    per_second: f64,
    state: RefCell<State>,
    started: Cell<Option<Instant>>,
    finished: Cell<Option<Instant>>,
}

struct State {
    /// The next number, and the one at which to stop.
    next: u32,
    end: u32,
    command: u32,
    /// Refused for now; to be sent again.
    again: Vec<u32>,
    /// Number by command.
    under_way: HashMap<u32, u32>,
    allowance: f64,
    filled_at: Instant,
}

impl Writer {
    /// Connects; nothing is written before [`Writer::go`].
    pub async fn start(
        shared: Rc<Shared>,
        index: usize,
        widget: Uuid,
        account: &Account,
        share: u32,
        args: &SlowArgs,
    ) -> Result<Rc<Self>> {
        let (sender, mut receiver) = open(&shared.host, Options::default()).await?;
        sender.send(&client::connect(1, &account.token))?;
        let state = State {
            next: 0,
            end: share,
            command: 1,
            again: Vec::new(),
            under_way: HashMap::new(),
            allowance: BURST,
            filled_at: Instant::now(),
        };
        let writer = Rc::new(Self {
            shared,
            index,
            widget,
            sender,
            window: args.window as usize,
            per_second: args.per_writer,
            state: RefCell::new(state),
            started: Cell::default(),
            finished: Cell::default(),
        });
        let listening = writer.clone();
        tokio::task::spawn_local(async move {
            let ended = receiver.listen(|line, at| match listening.line(line, at) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            });
            let error = ended.await.unwrap_or_else(|error| error);
            // A writer that is done may be closed.
            if listening.finished.get().is_none() {
                listening.shared.broken.set(listening.shared.broken.get() + 1);
                listening.shared.complain(format!("writer: {error:#}"));
            }
        });
        Ok(writer)
    }

    /// Begins to write.
    pub fn go(self: &Rc<Self>) {
        self.started.set(Some(Instant::now()));
        let writer = self.clone();
        tokio::task::spawn_local(async move {
            // Answers drive the writer; this brings back what was refused and what the allowance held up.
            while writer.finished.get().is_none() {
                if let Err(error) = writer.pump() {
                    return writer.shared.complain(format!("writer: {error:#}"));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// How long it took, once all is acknowledged.
    pub fn took(&self) -> Option<Duration> {
        Some(self.finished.get()?.duration_since(self.started.get()?))
    }

    fn line(&self, line: ServerLine<'_>, at: Instant) -> Result<()> {
        let ServerLine::Reply { id, result } = line else {
            return Ok(());
        };
        match result {
            Ok(Reply::Connect(_)) => self.shared.ready.set(self.shared.ready.get() + 1),
            Ok(Reply::Rpc(data)) => {
                let number =
                    self.state.borrow_mut().under_way.remove(&id).context("an answer that nobody asked for")?;
                let answer: Answer<Value> = serde_json::from_str(data.get())?;
                let position = answer.positions.iter().find(|position| position.channel == self.shared.channel);
                let offset = position.context("an answer without a position")?.offset;
                let part = fingerprint(offset, self.index as u64, number.into());
                self.shared.promised.set(self.shared.promised.get().wrapping_add(part));
                self.shared.acked.set(self.shared.acked.get() + 1);
                self.pump()?;
                let state = self.state.borrow();
                if state.next == state.end && state.again.is_empty() && state.under_way.is_empty() {
                    self.finished.set(Some(at));
                }
            }
            Err(error) if error.temporary => {
                let mut state = self.state.borrow_mut();
                let number = state.under_way.remove(&id).context("an error that nobody asked for")?;
                state.again.push(number);
                state.allowance = 0.0;
                self.shared.refused.set(self.shared.refused.get() + 1);
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        Ok(())
    }

    /// Sends what window and allowance let through, as one frame.
    fn pump(&self) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        let gained = now.duration_since(state.filled_at).as_secs_f64() * self.per_second;
        state.allowance = (state.allowance + gained).min(BURST);
        state.filled_at = now;
        let mut lines = Vec::new();
        let mut sent_at = self.shared.sent_at.borrow_mut();
        while state.under_way.len() < self.window && state.allowance >= 1.0 {
            let number = match state.again.pop() {
                Some(number) => number,
                None if state.next < state.end => {
                    state.next += 1;
                    state.next - 1
                }
                None => break,
            };
            state.allowance -= 1.0;
            state.command += 1;
            let command = state.command;
            state.under_way.insert(command, number);
            let times = &mut sent_at[self.index];
            times.resize(times.len().max(number as usize + 1), None);
            times[number as usize] = Some(now);
            let data = json!({"id": self.widget, "settings": {"n": number}});
            lines.push(client::rpc(command, "widget.update", &data));
        }
        if lines.is_empty() { Ok(()) } else { self.sender.send(&lines.join("\n")) }
    }
}

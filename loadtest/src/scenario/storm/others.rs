//! People who give one durable command after the other while the storm goes on.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use studyhall_protocol::client::{self, ServerLine};
use tokio::task::JoinHandle;

use super::World;
use crate::client::{Options, open};
use crate::report::Latency;

/// How many, and how often.
pub const OTHERS: usize = 8;
const EVERY: Duration = Duration::from_millis(50);

/// Those people, until they are told to stop.
pub struct Others(Vec<(JoinHandle<()>, Rc<RefCell<Latency>>)>);

impl Others {
    /// Stops them; how long their answers took.
    pub fn stop(&self) -> Latency {
        let mut all = Latency::new();
        for (task, latency) in &self.0 {
            task.abort();
            all.add(&latency.borrow());
        }
        all
    }
}

impl World<'_> {
    /// The last ones of the crowd begin.
    pub(super) async fn start_others(&self) -> Result<Others> {
        let mut others = Vec::new();
        for (number, member) in self.crowd.iter().rev().take(OTHERS).enumerate() {
            let (sender, mut receiver) = open(self.host(number), Options::default()).await?;
            sender.send(&client::connect(1, &member.token))?;
            let latency = Rc::new(RefCell::new(Latency::new()));
            let (answered, found) = (latency.clone(), self.found.clone());
            let task = tokio::task::spawn_local(async move {
                for number in 2_u32.. {
                    let wait_for = number - 1;
                    let sent = Instant::now();
                    let answer = receiver.listen(|line, _| match line {
                        ServerLine::Reply { id, result } if id == wait_for => ControlFlow::Break(result.err()),
                        _ => ControlFlow::Continue(()),
                    });
                    match answer.await {
                        Ok(None) => answered.borrow_mut().record(sent.elapsed()),
                        Ok(Some(error)) => found.refuse(&error.to_string()),
                        Err(error) => return found.refuse(&format!("{error:#}")),
                    }
                    tokio::time::sleep(EVERY).await;
                    let theme = if number % 2 == 0 { "dark" } else { "light" };
                    if let Err(error) = sender.send(&client::rpc(number, "settings.update", &json!({"theme": theme}))) {
                        return found.refuse(&format!("{error:#}"));
                    }
                }
            });
            others.push((task, latency));
        }
        Ok(Others(others))
    }
}

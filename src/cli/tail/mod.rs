//! `studyhall tail`: what somebody's open tab would be told, one line each.
//!
//! Also the smallest complete client: it loads state over REST, goes on from the position of that state,
//! answers pings, and resumes after a lost connection from where it was.

mod show;
mod state;

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use studyhall_protocol::Channel;
use studyhall_protocol::client::{self, PONG, Pub, Push, Reply, ServerLine, Wishes};
use studyhall_protocol::error::WireError;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use self::show::Screen;
use self::state::{Api, Seat, Watched};

/// What `studyhall tail` can be told.
#[derive(Args)]
pub struct TailArgs {
    /// Where the server is; plain http only.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Who to be; `aiko` is one of the demo world.
    #[arg(long = "as", value_name = "NAME", default_value = "aiko")]
    name: String,
    /// Their password; that of the demo world unless told otherwise.
    #[arg(long, env = "STUDYHALL_PASSWORD", default_value = "studyhall-demo", hide_env_values = true)]
    password: String,
    /// Rooms to watch; all of mine when none is named.
    #[arg(long = "workspace", value_name = "ID")]
    workspaces: Vec<Uuid>,
    /// Print pushes as they came, one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Any value: no colours.
    #[arg(long, env = "NO_COLOR", hide = true)]
    no_color: Option<String>,
}

/// Longest wait before a reconnect, as in the SDKs.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// First wait before a reconnect.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// A ping may be this late before the connection counts as dead.
const PING_GRACE: Duration = Duration::from_secs(10);
/// Before the connect reply has told how often pings come.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum End {
    /// It may be tried again.
    Lost(String),
    /// It may not.
    Over(anyhow::Error),
}

impl From<anyhow::Error> for End {
    fn from(error: anyhow::Error) -> Self {
        End::Over(error)
    }
}

/// Watches until Ctrl-C, or until the server does not want us any more.
pub async fn tail(args: TailArgs) -> Result<()> {
    let mut api = Api::new(&args.url)?;
    api.sign_in(&args.name, &args.password).await?;
    let watched = api.load(&args.workspaces).await?;
    let screen = Screen::new(std::io::stdout().is_terminal() && args.no_color.is_none(), args.json);
    let mut tail = Tail { api, watched, screen, backoff: BACKOFF_MIN, ping_within: CONNECT_WITHIN, connected: false };
    let ended = tokio::select! {
        ended = tail.run() => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
    };
    // A sign-in that nobody uses any more should not linger for a month.
    tail.api.sign_out().await;
    ended
}

struct Tail {
    api: Api,
    watched: Watched,
    screen: Screen,
    backoff: Duration,
    ping_within: Duration,
    /// The connect reply of this connection has come.
    connected: bool,
}

impl Tail {
    async fn run(&mut self) -> Result<()> {
        loop {
            let why = match self.connection().await {
                End::Lost(why) => why,
                End::Over(error) => return Err(error),
            };
            if std::mem::take(&mut self.connected) {
                self.backoff = BACKOFF_MIN;
            }
            // Full jitter: after a deploy not everybody comes back in the same moment.
            let wait = self.backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            self.screen.note(&format!("{why}; again in {:.1} s", wait.as_secs_f64()));
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, to its end.
    async fn connection(&mut self) -> End {
        self.ping_within = CONNECT_WITHIN;
        let opened = tokio::time::timeout(CONNECT_WITHIN, tokio_tungstenite::connect_async(self.api.socket_url()));
        let mut socket = match opened.await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(error)) => return End::Lost(format!("cannot connect: {error}")),
            Err(_) => return End::Lost("cannot connect in time".into()),
        };
        let Err(end) = self.converse(&mut socket).await;
        end
    }

    async fn converse(&mut self, socket: &mut Socket) -> Result<Infallible, End> {
        let hello = self.hello();
        socket.send(Message::text(hello)).await.map_err(lost)?;
        loop {
            let message = match tokio::time::timeout(self.ping_within, socket.next()).await {
                Ok(Some(message)) => message.map_err(lost)?,
                Ok(None) => return Err(End::Lost("connection lost".into())),
                Err(_) => return Err(End::Lost("no ping".into())),
            };
            match message {
                Message::Text(text) => {
                    for line in client::lines(&text) {
                        if let Some(answer) = self.line(line).await? {
                            socket.send(Message::text(answer)).await.map_err(lost)?;
                        }
                    }
                }
                Message::Close(frame) => return Err(closed(frame)),
                _ => {}
            }
        }
    }

    /// Connect and all subscribes in one frame; after a break also the question where the heads are.
    fn hello(&mut self) -> String {
        let mut lines = vec![client::connect(1, self.api.token())];
        self.watched.begin();
        for (index, seat) in self.watched.seats.iter().enumerate() {
            lines.push(client::subscribe(subscribe_id(index), seat.position.channel, wishes(seat)));
        }
        for (index, seat) in self.watched.seats.iter().enumerate() {
            lines.push(client::history(history_id(index), seat.position.channel, None, 0));
        }
        lines.join("\n")
    }

    /// Handles one line; what comes back is to be sent.
    async fn line(&mut self, line: &str) -> Result<Option<String>, End> {
        match ServerLine::parse(line).with_context(|| format!("reading {line}"))? {
            ServerLine::Ping => return Ok(Some(PONG.into())),
            ServerLine::Reply { id, result: Ok(reply) } => self.reply(id, reply),
            ServerLine::Reply { id, result: Err(error) } => return self.refused(id, error).await,
            ServerLine::Push { channel, push } => {
                if self.screen.json {
                    self.screen.raw(line);
                }
                self.push(channel, &push)?;
            }
        }
        if self.screen.is_gone() {
            return Err(anyhow!("nobody reads the output any more").into());
        }
        Ok(None)
    }

    fn reply(&mut self, id: u32, reply: Reply<'_>) {
        match reply {
            Reply::Connect(connected) => {
                self.connected = true;
                self.ping_within = Duration::from_secs(connected.ping.into()) + PING_GRACE;
                self.screen.note(&format!("connected to {}, {} channels", self.api.base(), self.watched.seats.len()));
            }
            Reply::Subscribe(subscribed) => {
                let Some(seat) = seat_of(id, 2).and_then(|index| self.watched.seats.get_mut(index)) else {
                    return;
                };
                seat.position.epoch = subscribed.epoch;
                let channel = seat.position.channel;
                if let Some(data) = subscribed.data.filter(|_| !self.screen.json) {
                    self.screen.slots(&self.watched, channel, data);
                }
                for publication in &subscribed.publications {
                    let _ = self.publication(channel, publication);
                }
            }
            Reply::History(history) => {
                let Some(seat) = seat_of(id, 3).and_then(|index| self.watched.seats.get_mut(index)) else {
                    return;
                };
                seat.head = Some(history.offset);
                self.caught_up();
            }
            Reply::Rpc(_) | Reply::Other(_) | Reply::Done => {}
        }
    }

    async fn refused(&mut self, id: u32, error: WireError) -> Result<Option<String>, End> {
        let Some(index) = seat_of(id, 2).filter(|index| *index < self.watched.seats.len()) else {
            // The question for the head of a channel that was refused; the refusal itself was told.
            if seat_of(id, 3).is_some() {
                return Ok(None);
            }
            return Err(if error.temporary { End::Lost(error.to_string()) } else { End::Over(error.into()) });
        };
        let channel = self.watched.seats[index].position.channel;
        if error.code == WireError::unrecoverable_position().code {
            // Never live with a hole: load the state again and go on from there.
            let position = self.api.position(channel).await?;
            self.screen.note(&format!("{}: too long away, loaded anew", self.watched.name(channel)));
            let seat = &mut self.watched.seats[index];
            (seat.head, seat.position) = (Some(position.offset), position);
            return Ok(Some(client::subscribe(id, channel, wishes(seat))));
        }
        if error.temporary {
            return Err(End::Lost(error.to_string()));
        }
        self.screen.note(&format!("{}: {error}", self.watched.name(channel)));
        self.leave(channel)?;
        Ok(None)
    }

    fn push(&mut self, channel: Channel, push: &Push<'_>) -> Result<(), End> {
        match push {
            Push::Pub(publication) => return self.publication(channel, publication),
            Push::Join(info) => self.screen.came(&self.watched, channel, info, true),
            Push::Leave(info) => self.screen.came(&self.watched, channel, info, false),
            Push::Unsubscribe(ended) => {
                self.screen.note(&format!("{}: {} ({})", self.watched.name(channel), ended.reason, ended.code));
                self.leave(channel)?;
            }
            Push::Unknown => {}
        }
        Ok(())
    }

    /// Prints it; one with a number must be the next, or the server broke its word.
    fn publication(&mut self, channel: Channel, publication: &Pub<'_>) -> Result<(), End> {
        if let Some(offset) = publication.offset {
            let Some(seat) = self.watched.seat(channel) else {
                return Ok(());
            };
            let expected = seat.position.offset + 1;
            if offset != expected {
                return Err(anyhow!("{channel}: event {offset} came where {expected} was due").into());
            }
            seat.position.offset = offset;
            seat.missed += 1;
        }
        self.screen.publication(&self.watched, channel, publication);
        if publication.offset.is_some() {
            self.caught_up();
        }
        Ok(())
    }

    /// Says so, once, when every channel has come to where it was at the reconnect.
    fn caught_up(&mut self) {
        if let Some(missed) = self.watched.caught_up() {
            self.screen.note(&format!("caught up: {missed} events while away"));
        }
    }

    fn leave(&mut self, channel: Channel) -> Result<(), End> {
        if self.watched.leave(channel) { Ok(()) } else { Err(anyhow!("nothing is left to watch").into()) }
    }
}

fn wishes(seat: &Seat) -> Wishes<'_> {
    Wishes { since: Some(&seat.position), join_leave: true, reject_unrecovered: true }
}

/// Even ids from 2 are subscribes, odd ones from 3 are questions for the head.
fn subscribe_id(index: usize) -> u32 {
    2 * index as u32 + 2
}

fn history_id(index: usize) -> u32 {
    2 * index as u32 + 3
}

fn seat_of(id: u32, first: u32) -> Option<usize> {
    let index = id.checked_sub(first)?;
    index.is_multiple_of(2).then_some(index as usize / 2)
}

fn lost(error: tungstenite::Error) -> End {
    End::Lost(error.to_string())
}

/// The codes of the protocol say who may come back.
fn closed(frame: Option<CloseFrame>) -> End {
    let Some(frame) = frame else {
        return End::Lost("closed".into());
    };
    let why = format!("{} ({})", frame.reason, u16::from(frame.code));
    match u16::from(frame.code) {
        3500..=3999 | 4500..=4999 => End::Over(anyhow!(why)),
        _ if frame.code == CloseCode::Size => End::Over(anyhow!(why)),
        _ => End::Lost(why),
    }
}

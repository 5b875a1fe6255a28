//! A carrier with its control channel: the loop both ends run.

use super::{
    mux::{End, Mux, Opener},
    stream::MuxStream,
};
use crate::{
    session::conversation::{Action, Conversation, SessionEnd},
    wire::{
        control::{Control, GoAway, Stats},
        frame::{self, FrameError, MAX_FRAME},
    },
};
use bytes::{Buf, BytesMut};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::Instant,
};

/// What may wait to be sent on the control channel; a peer that lets more pile up does not read.
const OUTBOX_BYTES: usize = 64 * 1024;
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What happened on a carrier.
#[derive(Debug)]
pub(crate) enum Event {
    /// The other side opened a stream.
    Inbound(MuxStream),
    /// Gateway: make another carrier within this time, then call [`Link::replaced`].
    Replace(Duration),
    /// Plane: open no more streams here.
    Avoid,
    /// Plane: the gateway's figures.
    Figures(Stats),
    /// It ended; call [`Link::close`].
    Ended(LinkEnd),
}

/// Why a carrier ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// By the rules of the session.
    Session(SessionEnd),
    /// It broke, or the other side closed it without a word.
    Lost(String),
}

/// How often and how long: from the plane's welcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between pings.
    pub(crate) ping_every: Duration,
    /// Without a byte.
    pub(crate) dead_after: Duration,
}

/// A carrier that is up.
#[derive(Debug)]
pub(crate) struct Link {
    mux: Mux,
    reader: ReadHalf<MuxStream>,
    writer: WriteHalf<MuxStream>,
    inbox: BytesMut,
    outbox: BytesMut,
    conversation: Conversation,
    actions: VecDeque<Action>,
}

/// What one round of waiting brought.
enum Woken {
    MuxEnded(String),
    Inbound(Option<MuxStream>),
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Timer,
}

impl Link {
    /// The gateway's end: opens the control channel.
    pub(crate) async fn open(mux: Mux, pace: Pace, stats: Stats) -> Result<Self, LinkEnd> {
        // The first message makes the channel exist: yamux tells the other side nothing before.
        let first = frame::encode(&Control::Stats(stats));
        let control = mux.opener.open(first).await.map_err(|error| LinkEnd::Lost(error.to_string()))?;
        Ok(Self::new(mux, control, End::Gateway, pace))
    }

    /// The plane's end: waits for the control channel.
    pub(crate) async fn accept(mut mux: Mux, pace: Pace) -> Result<Self, LinkEnd> {
        let control = tokio::select! {
            end = Mux::wait(&mut mux.driver) => return Err(LinkEnd::Lost(end)),
            control = mux.inbound.recv() => control,
            () = tokio::time::sleep(pace.dead_after) => None,
        };
        let control = control.ok_or_else(|| LinkEnd::Lost("the gateway opened no control channel".into()))?;
        Ok(Self::new(mux, control, End::Plane, pace))
    }

    fn new(mux: Mux, control: MuxStream, end: End, pace: Pace) -> Self {
        let (reader, writer) = tokio::io::split(control.uncounted());
        let conversation = Conversation::new(end, pace.ping_every, pace.dead_after, Instant::now().into_std());
        Self {
            mux,
            reader,
            writer,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            conversation,
            actions: VecDeque::new(),
        }
    }

    /// Opens streams on this carrier.
    pub(crate) const fn opener(&self) -> &Opener {
        &self.mux.opener
    }

    /// This side wants the carrier to go; streams get `longest` where the reason leaves them time.
    pub(crate) fn go_away(&mut self, reason: GoAway, longest: Option<Duration>) {
        self.actions.extend(self.conversation.go_away(Instant::now().into_std(), reason, longest));
    }

    /// Gateway: the carrier that replaces this one is up.
    pub(crate) fn replaced(&mut self) {
        self.conversation.replaced(Instant::now().into_std());
    }

    /// Gateway: sends its figures.
    pub(crate) fn send_figures(&mut self, stats: Stats) {
        self.actions.push_back(Action::Send(Control::Stats(stats)));
    }

    /// What happens next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            while let Some(action) = self.actions.pop_front() {
                match action {
                    Action::Send(message) => self.outbox.extend_from_slice(&frame::encode(&message)),
                    Action::Replace(within) => return Event::Replace(within),
                    Action::Avoid => return Event::Avoid,
                    Action::Figures(stats) => return Event::Figures(stats),
                    Action::End(end) => {
                        let _ = tokio::time::timeout(LAST_WORDS, self.writer.write_all_buf(&mut self.outbox)).await;
                        return Event::Ended(LinkEnd::Session(end));
                    }
                }
            }
            if self.outbox.len() > OUTBOX_BYTES {
                return Event::Ended(LinkEnd::Lost("the other side does not read the control channel".into()));
            }
            match self.wait().await {
                Woken::MuxEnded(end) => return Event::Ended(LinkEnd::Lost(end)),
                Woken::Inbound(Some(stream)) => return Event::Inbound(stream),
                Woken::Inbound(None) => return self.lost("the connection's task ended".into()).await,
                Woken::Read(Ok(0)) => return self.lost("the other side closed the control channel".into()).await,
                Woken::Read(Ok(_)) => {
                    if let Err(error) = self.read_inbox() {
                        return Event::Ended(LinkEnd::Lost(error.to_string()));
                    }
                }
                Woken::Read(Err(error)) | Woken::Written(Err(error)) => {
                    return self.lost(format!("the control channel broke: {error}")).await;
                }
                Woken::Written(Ok(_)) | Woken::Timer => {}
            }
            let activity = self.mux.opener.activity();
            let (received, streams) = (activity.last_received(), activity.streams());
            self.actions.extend(self.conversation.tick(Instant::now().into_std(), received, streams));
        }
    }

    async fn wait(&mut self) -> Woken {
        let wake = Instant::from_std(self.conversation.next_wake());
        tokio::select! {
            // What the other side said before the end is heard before it: the end alone does not say why.
            biased;
            read = self.reader.read_buf(&mut self.inbox) => Woken::Read(read),
            inbound = self.mux.inbound.recv() => Woken::Inbound(inbound),
            written = self.writer.write_buf(&mut self.outbox), if !self.outbox.is_empty() => Woken::Written(written),
            () = tokio::time::sleep_until(wake) => Woken::Timer,
            end = Mux::wait(&mut self.mux.driver) => Woken::MuxEnded(end),
        }
    }

    /// The end of the connection where that is what ended the control channel, else `detail`.
    async fn lost(&mut self, detail: String) -> Event {
        let ended = tokio::time::timeout(LAST_WORDS, Mux::wait(&mut self.mux.driver)).await;
        Event::Ended(LinkEnd::Lost(ended.unwrap_or(detail)))
    }

    fn read_inbox(&mut self) -> Result<(), FrameError> {
        while let [high, low, ..] = self.inbox[..] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > MAX_FRAME {
                return Err(FrameError::TooLong(length));
            }
            if self.inbox.len() < 2 + length {
                break;
            }
            self.inbox.advance(2);
            let message = frame::decode(&self.inbox.split_to(length))?;
            self.actions.extend(self.conversation.on_control(Instant::now().into_std(), message));
        }
        Ok(())
    }

    /// Ends the carrier: in order where it still lives, at once where the other side is silent.
    pub(crate) async fn close(self, end: &LinkEnd) {
        if *end != LinkEnd::Session(SessionEnd::Silent) {
            self.mux.close().await;
        }
    }
}

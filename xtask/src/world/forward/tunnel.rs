//! A way to a pod through the API server, for one connection at a time.
//!
//! It is made in two halves. To *open* a tunnel takes a TLS handshake with the API server and one between that and the
//! kubelet, and the pod notices nothing. To *connect* through it takes one round trip. So a tunnel can be opened before
//! anybody wants it, and carries one connection after the other. It never carries two at once: whoever reads slowly would
//! stop the other one, because the kubelet's side keeps no windows.
//!
//! SPDY goes through a WebSocket here, as kubectl does it since Kubernetes 1.31. The older way, bytes in WebSocket
//! messages, cannot say that one side has finished while the other goes on, and connects to the pod at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use engine::failure::Failure;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::spdy::{self, Decoder, HEADER, Said, Streams};
use super::unanswered::Unanswered;

const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// How long the API server and the kubelet may take to open a tunnel.
const OPENING: Duration = Duration::from_secs(10);
/// How long the kubelet may take to answer through an open one: longer, and it is there no more.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long after the last byte the kubelet may take to say whether that was all in order.
const VERDICT: Duration = Duration::from_secs(1);

/// How many bytes go into one frame, at most.
const FRAME: usize = 16 << 10;
/// A WebSocket message longer than this is none of a port-forward, in bytes.
const LONGEST_MESSAGE: usize = 1 << 20;
/// How much of a complaint is kept, in bytes.
const LONGEST_COMPLAINT: usize = 4 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// An open tunnel that leads to no port now.
pub struct Tunnel {
    socket: Socket,
    decoder: Decoder,
    /// Of its next connection.
    streams: Streams,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// One of both sides wanted it to.
    Whole,
    /// Neither side had said anything when the pod closed it, or died, or was given up.
    Unused,
    /// No byte reached the pod, so it may be tried again; and why.
    NotConnected(String),
    /// In the middle, by neither of both; and why.
    Dropped(String),
}

impl Tunnel {
    /// Opens a tunnel to `pod`.
    ///
    /// # Errors
    /// When there is no such pod, or the API server or the kubelet does not answer.
    pub async fn open(client: &Client, namespace: &str, pod: &str) -> Result<Self, Failure> {
        let failed = || Failure::environment(format!("could not open a port-forward to pod {pod}"));
        match timeout(OPENING, upgrade(client, namespace, pod)).await {
            Ok(Ok(socket)) => Ok(Self { socket, decoder: Decoder::default(), streams: Streams::FIRST }),
            Ok(Err(why)) => Err(failed().because(why)),
            Err(_) => Err(failed().because(format!("no answer within {OPENING:?}"))),
        }
    }

    /// Returns, with the reason, once the tunnel is of no use any more. Dropping the future loses nothing.
    pub async fn until_broken(&mut self) -> String {
        loop {
            match self.said().await {
                Ok(Said::Ping(id)) => {
                    if let Err(error) = self.socket.send(Message::Binary(spdy::pong(id))).await {
                        return error.to_string();
                    }
                }
                Ok(Said::Away) => return "the kubelet takes no more connections through it".to_owned(),
                Ok(_) => {}
                Err(why) => return why,
            }
        }
    }

    /// Connects to `port` of the pod, and carries bytes between it and `local` until either ends. What was sent and is
    /// not yet answered is kept in `unanswered`, and what is in there already is sent first. If neither side has said
    /// anything by the time the pod `leaves`, it is given up. The tunnel comes back if both sides have ended in order, so
    /// that nothing of this connection can come after it.
    pub async fn carry<L>(
        mut self,
        port: u16,
        local: &mut L,
        unanswered: &mut Unanswered,
        leaves: impl Future<Output = ()>,
    ) -> (Ended, Option<Self>)
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        match timeout(CONNECTING, self.connected(port)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return (Ended::NotConnected(why), None),
            Err(_) => {
                return (Ended::NotConnected(format!("the kubelet did not answer within {CONNECTING:?}")), None);
            }
        }
        let Self { socket, mut decoder, streams } = self;
        let (mut sink, mut source) = socket.split();
        let (reader, writer) = tokio::io::split(local);
        let (pings, pinged) = mpsc::channel(4);
        let known = Known::default();
        known.asked.store(!unanswered.nothing_sent(), Ordering::Relaxed);
        let left_unused = async {
            leaves.await;
            if known.is_used() {
                std::future::pending::<()>().await;
            }
        };
        let (ended, in_order) = {
            let to_pod = ToPod { reader, sink: &mut sink, pinged, bytes: streams.bytes };
            let from_pod = FromPod { source: &mut source, decoder: &mut decoder, writer, pings, streams };
            tokio::select! {
                ended = to_pod.carry(unanswered, &known) => (ended, false),
                (ended, in_order) = from_pod.carry(&known) => match ended {
                    Ended::Whole if !known.is_used() => (Ended::Unused, in_order),
                    ended => (ended, in_order),
                },
                () = left_unused => (Ended::Unused, false),
            }
        };
        let answered = known.answered.into_inner();
        match ended {
            Ended::Dropped(why) if !answered && (unanswered.nothing_sent() || means_nobody_listens(&why)) => {
                (Ended::NotConnected(why), None)
            }
            Ended::Whole | Ended::Unused if in_order => {
                let finish = Message::Binary(spdy::finish(streams.bytes));
                let closed = known.finished.into_inner() || sink.send(finish).await.is_ok();
                let next = streams.next().filter(|_| closed).zip(source.reunite(sink).ok());
                (ended, next.map(|(streams, socket)| Self { socket, decoder, streams }))
            }
            ended => (ended, None),
        }
    }

    /// Opens the streams. Once they are accepted, bytes that are sent get at least as far as the kubelet.
    async fn connected(&mut self, port: u16) -> Result<(), String> {
        let streams = self.streams;
        self.socket.send(Message::Binary(spdy::connect(streams, port))).await.map_err(|error| error.to_string())?;
        loop {
            match self.said().await? {
                Said::Accepted(stream) if stream == streams.bytes => return Ok(()),
                Said::Ping(id) => {
                    let pong = Message::Binary(spdy::pong(id));
                    self.socket.send(pong).await.map_err(|error| error.to_string())?;
                }
                Said::Away => return Err("the kubelet takes no more connections".to_owned()),
                Said::Finished(stream) | Said::Reset(stream, _) if stream == streams.bytes => {
                    return Err("the kubelet did not take the connection".to_owned());
                }
                _ => {}
            }
        }
    }

    async fn said(&mut self) -> Result<Said, String> {
        loop {
            if let Some(said) = self.decoder.next().map_err(|malformed| malformed.0)? {
                return Ok(said);
            }
            receive(self.socket.next().await, &mut self.decoder)?;
        }
    }
}

async fn upgrade(client: &Client, namespace: &str, pod: &str) -> Result<Socket, String> {
    let key = generate_key();
    let request = Request::get(format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward"))
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = client.send(request).await.map_err(|error| Failure::step("").because_of(&error).causes.join(": "))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answer).await);
    }
    if header(&answer, &SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
        return Err("the answer is to somebody else's request".to_owned());
    }
    if header(&answer, &SEC_WEBSOCKET_PROTOCOL) != Some(PROTOCOL) {
        return Err(format!("the API server does not know {PROTOCOL}, which Kubernetes has since 1.31"));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(FRAME)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

fn header<'a>(answer: &'a Response<Body>, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// What an API server says that does not open a tunnel.
async fn refusal(answer: Response<Body>) -> String {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_COMPLAINT).collect().await.map(|body| body.to_bytes());
    let object: Option<serde_json::Value> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let message = object.as_ref().and_then(|object| object.get("message")?.as_str());
    message.map_or_else(|| format!("the API server answered {status}"), str::to_owned)
}

/// Gives the decoder what a message holds.
fn receive(message: Option<Result<Message, SocketError>>, decoder: &mut Decoder) -> Result<(), String> {
    match message {
        Some(Ok(Message::Binary(bytes))) => decoder.feed(&bytes),
        Some(Ok(Message::Close(_))) | None => return Err("the API server closed it".to_owned()),
        // The library answers pings; nothing else means anything.
        Some(Ok(_)) => {}
        Some(Err(error)) => return Err(error.to_string()),
    }
    Ok(())
}

/// What both halves of a connection know of it.
#[derive(Default)]
struct Known {
    /// The client has said something, be it that it says nothing more.
    asked: AtomicBool,
    /// The pod has said something.
    answered: AtomicBool,
    /// The pod knows that the client says nothing more.
    finished: AtomicBool,
}

impl Known {
    fn is_used(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.answered.load(Ordering::Relaxed)
    }
}

/// The half of a connection that leads to the pod.
struct ToPod<'a, L> {
    reader: ReadHalf<L>,
    sink: &'a mut SplitSink<Socket, Message>,
    pinged: mpsc::Receiver<u32>,
    bytes: u32,
}

impl<L: AsyncRead> ToPod<'_, L> {
    /// Sends what the client does. Ends only with the client or with the tunnel.
    async fn carry(mut self, unanswered: &mut Unanswered, known: &Known) -> Ended {
        let again = unanswered.kept();
        let mut frame = BytesMut::with_capacity(HEADER + FRAME);
        for bytes in again.chunks(FRAME) {
            frame.put_slice(&spdy::header(self.bytes, bytes.len()));
            frame.put_slice(bytes);
            if let Err(error) = self.sink.send(Message::Binary(frame.split().freeze())).await {
                return Ended::Dropped(error.to_string());
            }
        }
        let mut open = !unanswered.ended();
        loop {
            if !open && !known.finished.load(Ordering::Relaxed) {
                if let Err(error) = self.sink.send(Message::Binary(spdy::finish(self.bytes))).await {
                    return Ended::Dropped(error.to_string());
                }
                known.finished.store(true, Ordering::Relaxed);
            }
            frame.reserve(HEADER + FRAME);
            frame.put_bytes(0, HEADER);
            let mut room = (&mut frame).limit(FRAME);
            let message = tokio::select! {
                read = self.reader.read_buf(&mut room), if open => match read {
                    Ok(0) => {
                        known.asked.store(true, Ordering::Relaxed);
                        open = false;
                        unanswered.end();
                        frame.clear();
                        continue;
                    }
                    Ok(length) => {
                        known.asked.store(true, Ordering::Relaxed);
                        if known.answered.load(Ordering::Relaxed) {
                            unanswered.forget();
                        } else {
                            unanswered.keep(frame.get(HEADER..).unwrap_or_default());
                        }
                        if let Some(header) = frame.get_mut(..HEADER) {
                            header.copy_from_slice(&spdy::header(self.bytes, length));
                        }
                        frame.split().freeze()
                    }
                    // Whoever reset the connection wants no answer.
                    Err(_) => return Ended::Whole,
                },
                Some(id) = self.pinged.recv() => {
                    frame.clear();
                    spdy::pong(id)
                }
            };
            if let Err(error) = self.sink.send(Message::Binary(message)).await {
                return Ended::Dropped(error.to_string());
            }
        }
    }
}

/// The half of a connection that comes from the pod.
struct FromPod<'a, L> {
    source: &'a mut SplitStream<Socket>,
    decoder: &'a mut Decoder,
    writer: WriteHalf<L>,
    pings: mpsc::Sender<u32>,
    streams: Streams,
}

impl<L: AsyncWrite> FromPod<'_, L> {
    /// Writes what the pod sends, until it has ended; and whether nothing more can come.
    async fn carry(mut self, known: &Known) -> (Ended, bool) {
        let Streams { complaints, bytes } = self.streams;
        let mut complaint = Vec::new();
        let (mut all_said, mut all_sent, mut in_order) = (false, false, true);
        while !(all_said && all_sent) {
            let said = match self.decoder.next() {
                Ok(said) => said,
                Err(malformed) => return (Ended::Dropped(malformed.0.to_owned()), false),
            };
            match said {
                Some(Said::Bytes(stream, sent)) if stream == bytes => {
                    known.answered.store(true, Ordering::Relaxed);
                    if write(&mut self.writer, &sent).await.is_err() {
                        return (Ended::Whole, false);
                    }
                }
                Some(Said::Bytes(stream, said)) if stream == complaints => {
                    let room = LONGEST_COMPLAINT.saturating_sub(complaint.len());
                    complaint.extend_from_slice(said.get(..room.min(said.len())).unwrap_or_default());
                }
                Some(Said::Finished(stream)) if stream == bytes => all_sent = true,
                Some(Said::Finished(stream)) if stream == complaints => all_said = true,
                Some(Said::Reset(stream, _)) if stream == bytes => {
                    return (Ended::Dropped("the kubelet reset it".to_owned()), false);
                }
                // When it asks faster than it takes answers, it can do without some.
                Some(Said::Ping(id)) => drop(self.pings.try_send(id)),
                Some(_) => {}
                None => {
                    let more = async { receive(self.source.next().await, self.decoder) };
                    let more = if all_sent { timeout(VERDICT, more).await } else { Ok(more.await) };
                    match more {
                        Ok(Ok(())) => {}
                        Ok(Err(why)) if !all_sent => return (Ended::Dropped(why), false),
                        Ok(Err(_)) | Err(_) => (all_said, in_order) = (true, false),
                    }
                }
            }
        }
        let complaint = String::from_utf8_lossy(&complaint);
        if !complaint.trim().is_empty() {
            return (Ended::Dropped(complaint.trim().to_owned()), false);
        }
        // The client may be gone already.
        let _ = self.writer.shutdown().await;
        (Ended::Whole, in_order)
    }
}

async fn write<W: AsyncWrite>(writer: &mut WriteHalf<W>, bytes: &Bytes) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// Whether a complaint of the kubelet's says that nobody in the pod took the connection.
fn means_nobody_listens(complaint: &str) -> bool {
    ["onnection refused", "not running", "not found"].iter().any(|words| complaint.contains(words))
}

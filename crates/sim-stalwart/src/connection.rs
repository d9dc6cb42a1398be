//! The TCP side: a stream that counts its bytes and can be cut where a fault wants it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::counters::Meters;

/// How a connection is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By RST.
    Reset,
    /// By FIN.
    Close,
}

/// The handler's hold on the connection its request came by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scissors(Arc<Mutex<Option<(u64, End)>>>);

impl Scissors {
    /// Lets `bytes` more go out, then ends the connection.
    pub(crate) fn cut_after(&self, bytes: u64, end: End) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, end));
    }

    /// How many of `len` bytes may go out, and how the connection ends if none may.
    fn allow(&self, len: usize) -> Result<usize, End> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(len),
            Some((0, end)) => Err(end),
            Some((left, _)) => Ok(usize::try_from(left).unwrap_or(usize::MAX).min(len)),
        }
    }

    fn went_out(&self, bytes: usize) {
        if let Some((left, _)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *left = left.saturating_sub(bytes as u64);
        }
    }
}

impl Connected<IncomingStream<'_, Door>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().scissors.clone()
    }
}

/// The listening socket.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) meters: Arc<Meters>,
    pub(crate) stop: CancellationToken,
}

impl Listener for Door {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (tcp, address) = Listener::accept(&mut self.listener).await;
        // Without it small answers wait for acknowledgements; a socket that refuses still works.
        let _ = tcp.set_nodelay(true);
        self.meters.connection();
        let stopped = Box::pin(self.stop.clone().cancelled_owned());
        let stream = Stream { tcp, scissors: Scissors::default(), meters: Arc::clone(&self.meters), stopped };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(crate) struct Stream {
    tcp: TcpStream,
    scissors: Scissors,
    meters: Arc<Meters>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream {
    fn end(&self, end: End) -> io::Error {
        if end == End::Reset {
            // A socket closed with a lingering time of nought sends RST.
            let _ = self.tcp.set_zero_linger();
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, "ended by a fault")
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.scissors.went_out(*bytes);
            self.meters.bytes_out.fetch_add(*bytes as u64, Relaxed);
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "simulator stopped")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        self.meters.bytes_in.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.scissors.allow(bytes.len()) {
            Ok(allowed) => allowed,
            Err(end) => return Poll::Ready(Err(self.end(end))),
        };
        let written = Pin::new(&mut self.tcp).poll_write(context, &bytes[..allowed]);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        match self.scissors.allow(len) {
            Ok(allowed) if allowed == len => {
                let written = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
                self.count(written)
            }
            _ => {
                let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
                self.poll_write(context, first)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

//! Serves HTTP/1.1 within bounds: connections that send nothing, or little by little, end, and one address gets a part of the places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The wait after a connection that could not be taken: too many open files do not become fewer by asking at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// For the answer under way of a connection that has lived long enough.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// What one server allows.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Open at the same time; more are closed as they come.
    pub connections: usize,
    /// Of these from one address, or one /64 network of IPv6.
    pub of_one_address: usize,
    /// From the first byte of a request to the end of its headers, and from one request to the next.
    pub headers: Duration,
    /// Of one connection, however many requests it carries.
    pub lifetime: Duration,
    /// For answers under way when the server is told to stop.
    pub last_answers: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            connections: 512,
            of_one_address: 64,
            headers: Duration::from_secs(30),
            lifetime: Duration::from_secs(300),
            last_answers: Duration::from_secs(1),
        }
    }
}

/// Serves until the token is cancelled. Errors of single connections do not end it.
pub async fn serve_http(listener: TcpListener, router: Router, limits: HttpLimits, stop: CancellationToken) {
    let (open, connections) = (Open::default(), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                // Without a place it is dropped, which closes it.
                if let Some(place) = open.place(network(from.ip()), &limits) {
                    let serving = serve_one(stream, router.clone(), limits, stop.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
            }
            Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
        }
    }
    connections.close();
    let _ = tokio::time::timeout(limits.last_answers, connections.wait()).await;
}

async fn serve_one(stream: TcpStream, router: Router, limits: HttpLimits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => (),
        () = tokio::time::sleep(limits.lifetime) => (),
    }
    // An answer under way is given to its end.
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
}

/// Open connections by where they come from.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection; dropped, it is free again.
struct Place {
    open: Open,
    from: IpAddr,
}

impl Open {
    fn place(&self, from: IpAddr, limits: &HttpLimits) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= limits.connections {
            return None;
        }
        let of_one = open.entry(from).or_default();
        if *of_one >= limits.of_one_address {
            return None;
        }
        *of_one += 1;
        Some(Place { open: self.clone(), from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = open.get_mut(&self.from) {
            *of_one -= 1;
            if *of_one == 0 {
                open.remove(&self.from);
            }
        }
    }
}

/// The owner of one address of an IPv6 network can usually choose its last 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

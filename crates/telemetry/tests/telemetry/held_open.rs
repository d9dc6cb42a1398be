use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use telemetry::{HttpLimits, serve_http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const HEADERS: Duration = Duration::from_secs(3);

/// From one of this machine's own addresses.
async fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Sends the beginning of a request and then nothing, or a byte now and then, until the server has had enough.
async fn hold_open(to: SocketAddr, drips: bool) {
    let Ok(mut held) = connect([127, 0, 0, 1], to).await else { return };
    let _ = held.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let mut end = [0];
    loop {
        tokio::select! {
            read = held.read(&mut end) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => (),
            },
            () = tokio::time::sleep(Duration::from_millis(200)), if drips => {
                if held.write_all(b"y").await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn ask(to: SocketAddr) -> String {
    let mut asking = connect([127, 0, 0, 2], to).await.expect("connects");
    asking.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sends");
    let mut answer = String::new();
    asking.read_to_string(&mut answer).await.expect("reads");
    answer
}

/// In kB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_and_a_half_thousand_that_send_too_little_keep_nobody_out() {
    assert!(HttpLimits::default().headers <= Duration::from_secs(60));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let (to, stop) = (listener.local_addr().expect("has an address"), CancellationToken::new());
    let router = Router::new().route("/", get(|| async { "hello" }));
    let limits = HttpLimits { headers: HEADERS, ..HttpLimits::default() };
    let serving = tokio::spawn(serve_http(listener, router, limits, stop.clone()));
    ask(to).await;
    let before = memory();

    let mut held = JoinSet::new();
    // What the server closes at once makes room for the next; open files are few on some machines.
    let at_once = Arc::new(Semaphore::new(400));
    for n in 0..3500 {
        let at_once = at_once.clone();
        held.spawn(async move {
            let _turn = at_once.acquire().await;
            hold_open(to, n % 7 == 0).await;
        });
    }
    let begun = Instant::now();
    let asking = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let asked = Instant::now();
            assert!(ask(to).await.ends_with("hello"));
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        longest
    });
    while held.join_next().await.is_some() {}
    let gone = begun.elapsed();
    let longest = asking.await.expect("all were answered");
    let grown = memory().saturating_sub(before);
    println!("gone after {gone:?}; others waited {longest:?} at most; {grown} kB more");
    assert!(gone >= HEADERS, "some were held to the end of their time");
    assert!(gone < HEADERS * 10, "{gone:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(grown < 32 << 10, "{grown} kB");
    stop.cancel();
    serving.await.expect("it ends");
}

#[tokio::test]
async fn what_is_under_way_is_answered_when_it_ends_and_no_longer_waited_for_than_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let (to, stop) = (listener.local_addr().expect("has an address"), CancellationToken::new());
    let router = Router::new()
        .route("/", get(|| tokio::time::sleep(Duration::from_secs(1))))
        .route("/long", get(|| tokio::time::sleep(Duration::from_secs(600))));
    let limits = HttpLimits { last_answers: Duration::from_secs(3), ..HttpLimits::default() };
    let serving = tokio::spawn(serve_http(listener, router, limits, stop.clone()));
    let answered = tokio::spawn(async move { ask(to).await });
    let mut long = connect([127, 0, 0, 1], to).await.expect("connects");
    long.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    stop.cancel();
    serving.await.expect("it ends");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(answered.await.expect("no panic").starts_with("HTTP/1.1 200"));
}

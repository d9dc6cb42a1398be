//! Stalwart 0.15's engine on a SQLite file, with JMAP over HTTP, for Malle's tests. See README.md.

mod config;
mod http;
mod options;

use http::HttpSessions;
use options::{Options, USAGE};
use stalwart_lib::{
    Collector,
    common::{
        config::server::{Listeners, ServerProtocol},
        manager::boot::BootManager,
    },
    imap::core::ImapSessionManager,
    services::StartServices,
    smtp::StartQueueManager,
    utils::wait_for_shutdown,
};
use std::{io, net::SocketAddr, process::exit};
use tokio::sync::oneshot;

// Stalwart's own choice; its memory figures depend on it.
#[global_allocator]
static ALLOCATOR: jemallocator::Jemalloc = jemallocator::Jemalloc;

fn main() -> io::Result<()> {
    let options = Options::parse(std::env::args().skip(1))
        .unwrap_or_else(|problem| fail(&format!("{problem}\n{USAGE}")));
    if std::env::var_os(config::ADMIN_SECRET).is_none() {
        fail(&format!("{} is not set", config::ADMIN_SECRET));
    }
    let path = config::write(&options)?;
    // SAFETY: no other thread exists yet. It is the only way to tell BootManager.
    unsafe { std::env::set_var("CONFIG_PATH", path) };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

fn fail(problem: &str) -> ! {
    eprintln!("test-stalwart: {problem}");
    exit(2)
}

async fn serve() -> io::Result<()> {
    let mut init = Box::pin(BootManager::init()).await;
    if !init.config.errors.is_empty() {
        fail(&format!("{:#?}", init.config.errors));
    }
    let [http, imap] =
        [ServerProtocol::Http, ServerProtocol::Imap].map(|protocol| address(&mut init.servers, protocol));
    init.start_services().await;
    init.start_queue_manager();

    let inner = init.inner.clone();
    let (stop, _running) = init
        .servers
        .spawn(|listener, acceptor, stopped| match listener.protocol {
            ServerProtocol::Http => listener.spawn(
                HttpSessions { inner: inner.clone() },
                inner.clone(),
                acceptor,
                stopped,
            ),
            ServerProtocol::Imap => listener.spawn(
                ImapSessionManager::new(inner.clone()),
                inner.clone(),
                acceptor,
                stopped,
            ),
            other => fail(&format!("no {other} listener here")),
        });

    println!(
        "{}",
        serde_json::json!({ "http": format!("http://{http}"), "imap": imap.to_string() })
    );
    tokio::select! {
        () = wait_for_shutdown() => {}
        _ = stdin_closed() => {}
    }
    Collector::shutdown();
    let _ = stop.send(true);
    // Every acknowledged write is a committed transaction; there is nothing more to wait for.
    exit(0)
}

/// The address a listener really got, told to the listener too: sessions build their URLs from it.
fn address(servers: &mut Listeners, protocol: ServerProtocol) -> SocketAddr {
    let listener = servers
        .servers
        .iter_mut()
        .find(|listener| listener.protocol == protocol)
        .and_then(|listener| listener.listeners.first_mut())
        .unwrap_or_else(|| fail(&format!("no {protocol} listener configured")));
    listener.addr = listener
        .socket
        .local_addr()
        .unwrap_or_else(|error| fail(&error.to_string()));
    listener.addr
}

/// Resolves at the end of stdin. A thread of its own, because a read of stdin cannot be cancelled.
async fn stdin_closed() -> Result<(), oneshot::error::RecvError> {
    let (closed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = closed.send(());
    });
    wait.await
}

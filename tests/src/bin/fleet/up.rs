use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use tests::fleet::{Fleet, Plan};

/// Runs until SIGTERM or SIGINT; `dir` is emptied before.
pub(crate) async fn run(malle: PathBuf, dir: PathBuf) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    let plan = Plan::up();
    let fleet = Fleet::start(malle, dir.clone(), &plan).await?;
    let mut roles = vec![fleet.role("produce", 0)?];
    for number in 1..=plan.workers {
        roles.push(fleet.role("work", number)?);
    }
    let exports: Vec<String> =
        fleet.environment().into_iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    fs::write(dir.join("env"), exports.concat())?;
    println!(
        "{} mailboxes, one producer, {} workers. Look at it:\n  . {}/env\n  malle top\n  malle enqueue user1@example.org\n  \
         curl -s http://127.0.0.1:{}/metrics | grep ^malle_\n  curl -s -H \"Authorization: Bearer $(cat {}/token)\" \
         http://127.0.0.1:{}/v1/openapi.json\nLogs and the configuration: {}\nUP",
        plan.mailboxes,
        plan.workers,
        dir.display(),
        fleet.metrics[0],
        dir.display(),
        fleet.api,
        dir.display(),
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    for mut role in roles {
        if let Some(id) = role.id() {
            tokio::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        }
        role.wait().await?;
    }
    drop(fleet);
    let _ = fs::remove_dir_all(&dir);
    Ok(())
}

//! `make bench`: Malle, the floor and the peers on one real Stalwart, in one run.
//!
//! Prints Markdown tables. Ratios count; the seconds are those of a noisy machine.

#![expect(clippy::print_stdout, reason = "printing tables is what it is for")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use jmap::{AccountRef, Batch, Client, Config, Credentials, DataType, Download, Email, Id, Ids, Query};
use model::{EmailId, EmailRecord, Envelope, SystemClock, Timestamp};
use object_store::memory::InMemory;
use repository::{KeyRing, Origin, Store, StoreOptions, Summary};
use testkit::stalwart::Stalwart;
use tests::{Importer, Message, attachments, real_mail};
use tokio::task::JoinSet;

const USER: &str = "alice@example.org";
const PASSWORD: &str = "bench-secret";
const NIGHTS: usize = 30;

struct Bench {
    dir: PathBuf,
    server: Stalwart,
    malle: PathBuf,
}

/// What a command cost.
struct Cost {
    seconds: f64,
    peak: u64,
    output: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let corpus = PathBuf::from(std::env::var("MALLE_CORPUS").context("run it by `make bench`")?);
    let malle = PathBuf::from(std::env::var("MALLE_BIN").context("run it by `make bench`")?);
    let dir = tempfile::tempdir()?;
    let server = Stalwart::start(&dir.path().join("server")).await?;
    let account = server.create_account(USER, PASSWORD).await?;
    let mut messages = real_mail(&corpus)?;
    messages.extend(attachments());
    let bytes: u64 = messages.iter().map(|m| m.raw.len() as u64).sum();
    println!("{} messages, {:.1} MB", messages.len(), mb(bytes));
    let mut importer = Importer::new(&server, USER, PASSWORD, &account);
    importer.import(&messages).await?;
    drop(importer);
    let bench = Bench { dir: dir.path().to_owned(), server, malle };
    bench.speed(&messages, bytes).await?;
    bench.size(&messages).await?;
    bench.nights(bytes).await
}

impl Bench {
    async fn speed(&self, messages: &[Message], bytes: u64) -> Result<()> {
        let mut floors = Vec::new();
        for _ in 0..3 {
            floors.push(self.floor().await?);
        }
        let floor = floors.iter().copied().min().context("it ran")?;
        let cpu = hashing_alone(messages).await?;
        self.run(
            Command::new(&self.malle)
                .args(["key", "new"])
                .stdout(std::fs::File::create(self.dir.join("ring"))?),
        )
        .await?;
        let server_before = self.server.memory_peak()?;
        let full = self.malle(&["backup", "--json"]).await?;
        let server_after = self.server.memory_peak()?;
        let unchanged = self.malle(&["backup", "--json"]).await?;
        let verify = self.malle(&["verify", "--read-data", "--json"]).await?;
        let peers = self.peers().await?;
        let peers_again = self.peers().await?;
        let bound = floor.as_secs_f64() + cpu.as_secs_f64() / cores();
        println!("\n| What | s | MB/s | emails/s | peak memory MiB |\n|---|---|---|---|---|");
        let row = |what: &str, s: f64, peak: u64| {
            let rate = messages.len() as f64 / s;
            println!("| {what} | {s:.2} | {:.0} | {rate:.0} | {} |", mb(bytes) / s, mib(peak));
        };
        row("floor: the same fetching, bytes thrown away", floor.as_secs_f64(), 0);
        row("hash, compress, seal, verify alone, 1 core", cpu.as_secs_f64(), 0);
        row("`malle backup`, full", full.seconds, full.peak);
        row("`malle backup`, unchanged", unchanged.seconds, unchanged.peak);
        row("`malle verify --read-data`", verify.seconds, verify.peak);
        row("`mbsync` + `restic`, full", peers.0.seconds + peers.1.seconds, peers.0.peak.max(peers.1.peak));
        row("`mbsync` + `restic`, unchanged", peers_again.0.seconds + peers_again.1.seconds, 0);
        println!("\n| Ratio | measured | goal |\n|---|---|---|");
        println!("| full ÷ (floor + CPU ÷ {} cores) | {:.2} | ≤ 1.3 |", cores(), full.seconds / bound);
        let peers_full = peers.0.seconds + peers.1.seconds;
        println!("| peers full ÷ full | {:.1} | ≥ 4 |", peers_full / full.seconds);
        let again = peers_again.0.seconds + peers_again.1.seconds;
        println!("| peers unchanged ÷ unchanged | {:.0} | ≥ 50 |", again / unchanged.seconds);
        println!(
            "\nserver's peak memory: {} MiB before the backup, {} after",
            mib(server_before),
            mib(server_after)
        );
        println!("full: {}unchanged: {}", full.output, unchanged.output);
        Ok(())
    }

    async fn size(&self, messages: &[Message]) -> Result<()> {
        let maildir = self.dir.join("plain");
        std::fs::create_dir_all(&maildir)?;
        for (i, message) in messages.iter().enumerate() {
            std::fs::write(maildir.join(format!("{i:06}")), &message.raw)?;
        }
        let archive = self.dir.join("plain.tar.zst");
        let tar = format!("tar -C {} -c . | zstd -3 -q -f -o {}", maildir.display(), archive.display());
        self.run(Command::new("sh").args(["-c", &tar])).await?;
        let ours = size_of(&self.dir.join("store"))?;
        let tar = std::fs::metadata(archive)?.len();
        let restic = size_of(&self.dir.join("restic"))?;
        println!("\n| Size of one full backup | MB | ÷ tar zstd -3 |\n|---|---|---|");
        for (what, size) in [("malle", ours), ("restic", restic), ("`tar | zstd -3`", tar)] {
            println!("| {what} | {:.2} | {:.3} |", mb(size), size as f64 / tar as f64);
        }
        Ok(())
    }

    /// A changing mailbox, night after night: new mail, flags, deletions.
    async fn nights(&self, bytes: u64) -> Result<()> {
        let client = self.client().await?;
        let account = client.resolve_account(&AccountRef::Own).await?;
        let mut importer = Importer::new(&self.server, USER, PASSWORD, account.id.as_str());
        let (ours_before, theirs_before) =
            (size_of(&self.dir.join("store"))?, size_of(&self.dir.join("restic"))?);
        let (mut ours_s, mut theirs_s) = (0.0, 0.0);
        for night in 0..NIGHTS {
            let fresh: Vec<Message> =
                (0..60).map(|i| Message { folder: "nightly", raw: letter(night * 60 + i) }).collect();
            importer.import(&fresh).await?;
            let mut batch = Batch::new(&account.id);
            let call = batch.query(DataType::Email, &Query::page(5_000));
            let ids = client.call(&batch).await?.take(call)?.ids;
            let picked: Vec<&Id> = ids.iter().skip(night * 37).step_by(61).take(60).collect();
            let flags: serde_json::Map<_, _> = picked[..40]
                .iter()
                .map(|id| (id.as_str().to_owned(), serde_json::json!({ "keywords/$flagged": true })))
                .collect();
            let gone: Vec<&str> = picked[40..].iter().map(|id| id.as_str()).collect();
            let set =
                serde_json::json!({ "accountId": account.id.as_str(), "update": flags, "destroy": gone });
            importer.call(serde_json::json!([["Email/set", set, "0"]])).await?;
            ours_s += self.malle(&["backup", "--json"]).await?.seconds;
            let peers = self.peers().await?;
            theirs_s += peers.0.seconds + peers.1.seconds;
        }
        let (ours, theirs) = (size_of(&self.dir.join("store"))?, size_of(&self.dir.join("restic"))?);
        println!(
            "\n| {NIGHTS} nights of 60 new, 40 flagged, 20 deleted on {:.0} MB | malle | mbsync + restic | ratio | goal |\n|---|---|---|---|---|",
            mb(bytes)
        );
        println!(
            "| repository, MB | {:.2} | {:.2} | {:.2} | ≤ 0.75 |",
            mb(ours),
            mb(theirs),
            ours as f64 / theirs as f64
        );
        let (grown, peer_grown) = (ours - ours_before, theirs - theirs_before);
        println!(
            "| of it by the {NIGHTS} nights | {:.2} | {:.2} | {:.2} | |",
            mb(grown),
            mb(peer_grown),
            grown as f64 / peer_grown as f64
        );
        println!("| seconds, all nights | {ours_s:.1} | {theirs_s:.1} | {:.3} | |", ours_s / theirs_s);
        Ok(())
    }

    async fn client(&self) -> Result<Client> {
        let config = Config::new(self.server.url().parse()?, Credentials::basic(USER, PASSWORD.to_owned()));
        Ok(Client::connect(config).await?)
    }

    /// The fastest way found to read everything: ids, metadata by 500, small blobs by 2 MiB, big ones streamed, four at once.
    async fn floor(&self) -> Result<Duration> {
        let start = Instant::now();
        let client = self.client().await?;
        let account = client.resolve_account(&AccountRef::Own).await?.id;
        let mut ids: Vec<Id> = Vec::new();
        loop {
            let mut batch = Batch::new(&account);
            let query = Query::page(5_000);
            let query = match ids.last() {
                Some(last) => query.after(last),
                None => query,
            };
            let call = batch.query(DataType::Email, &query);
            let page = client.call(&batch).await?.take(call)?.ids;
            if page.is_empty() {
                break;
            }
            ids.extend(page);
        }
        let mut reading = JoinSet::new();
        let mut listing: VecDeque<_> = VecDeque::new();
        let mut chunks = ids.chunks(500).map(<[Id]>::to_vec);
        loop {
            while listing.len() < 2 {
                let Some(chunk) = chunks.next() else { break };
                listing.push_back(tokio::spawn(metadata(client.clone(), account.clone(), chunk)));
            }
            let Some(listed) = listing.pop_front() else { break };
            for emails in by_bytes(listed.await??) {
                while reading.len() >= 4 {
                    reading.join_next().await.context("one is running")???;
                }
                let (client, account) = (client.clone(), account.clone());
                reading.spawn(async move { read(&client, &account, emails).await });
            }
        }
        while let Some(done) = reading.join_next().await {
            done??;
        }
        Ok(start.elapsed())
    }

    async fn malle(&self, arguments: &[&str]) -> Result<Cost> {
        let store = format!("file://{}", self.dir.join("store").display());
        let mut command = Command::new(&self.malle);
        command.args(arguments).args(["--account", USER]);
        if arguments[0] == "backup" {
            command.args(["--server", self.server.url()]);
        }
        command.env("MALLE_STORE", store).env("MALLE_KEY_FILE", self.dir.join("ring"));
        command.env("MALLE_USER", USER).env("MALLE_PASSWORD", PASSWORD).stdout(Stdio::piped());
        self.run(&mut command).await
    }

    async fn peers(&self) -> Result<(Cost, Cost)> {
        let (host, port) = self.server.imap().rsplit_once(':').context("an address")?;
        let maildir = self.dir.join("maildir");
        let config = self.dir.join("mbsyncrc");
        if !config.exists() {
            std::fs::create_dir_all(&maildir)?;
            std::fs::write(
                &config,
                format!(
                    "IMAPStore far\nHost {host}\nPort {port}\nUser {USER}\nPass {PASSWORD}\nSSLType None\nAuthMechs PLAIN\n\n\
                     MaildirStore near\nPath {0}/\nInbox {0}/INBOX\nSubFolders Verbatim\n\n\
                     Channel mail\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nExpunge Near\nSync Pull\nSyncState *\n",
                    maildir.display()
                ),
            )?;
            let mut init = self.restic();
            self.run(init.args(["init", "-q"])).await?;
        }
        let sync = self.run(Command::new("mbsync").arg("-q").arg("-c").arg(&config).arg("-a")).await?;
        let mut backup = self.restic();
        let restic = self.run(backup.args(["backup", "-q"]).arg(&maildir)).await?;
        Ok((sync, restic))
    }

    fn restic(&self) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", PASSWORD).env("RESTIC_REPOSITORY", self.dir.join("restic"));
        command.env("RESTIC_CACHE_DIR", self.dir.join("restic-cache"));
        command
    }

    /// Runs a command to its end and watches its memory.
    async fn run(&self, command: &mut Command) -> Result<Cost> {
        let start = Instant::now();
        let mut child =
            tokio::process::Command::from(std::mem::replace(command, Command::new("true"))).spawn()?;
        let status = PathBuf::from(format!("/proc/{}/status", child.id().unwrap_or_default()));
        let mut output = child.stdout.take();
        let reading = async {
            let mut text = String::new();
            if let Some(output) = &mut output {
                tokio::io::AsyncReadExt::read_to_string(output, &mut text).await?;
            }
            Ok::<_, std::io::Error>(text)
        };
        let mut peak = 0;
        let watching = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            loop {
                tick.tick().await;
                peak = peak.max(high_water(&status));
            }
        };
        let (output, ended) = tokio::select! {
            ended = async { futures::join!(reading, child.wait()) } => ended,
            () = watching => bail!("watching never ends"),
        };
        let (output, ended) = (output?, ended?);
        ensure!(ended.success(), "a command failed: {ended} {output}");
        Ok(Cost { seconds: start.elapsed().as_secs_f64(), peak, output })
    }
}

async fn metadata(client: Client, account: jmap::AccountId, ids: Vec<Id>) -> Result<Vec<Email>, jmap::Error> {
    let mut batch = Batch::new(&account);
    let call = batch.emails(Ids::These(ids));
    Ok(client.call(&batch).await?.take(call)?.list)
}

async fn read(client: &Client, account: &jmap::AccountId, emails: Vec<Email>) -> Result<u64, jmap::Error> {
    if let [big] = emails.as_slice() {
        let mut pieces = Box::pin(client.download(Download::new(account, &big.blob_id, big.size + 1)));
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            bytes += piece?.len() as u64;
        }
        return Ok(bytes);
    }
    let mut batch = Batch::new(account);
    let call = batch.blobs(Ids::These(emails.into_iter().map(|e| e.blob_id).collect()));
    let blobs = client.call(&batch).await?.take(call)?;
    Ok(blobs.list.iter().map(|b| b.data.len() as u64).sum())
}

fn by_bytes(emails: Vec<Email>) -> Vec<Vec<Email>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for email in emails {
        if email.size > 256 << 10 {
            batches.push(vec![email]);
            continue;
        }
        bytes += email.size;
        batch.push(email);
        if bytes > 2 << 20 {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// CPU time of what a backup does to bytes besides fetching them, by the repository itself, one thread.
async fn hashing_alone(messages: &[Message]) -> Result<Duration> {
    let store = Store::open_or_init(Arc::new(InMemory::new()), StoreOptions::default(), &SystemClock).await?;
    let identity = model::MailboxIdentity { server: "s".into(), account: "a".into(), incarnation: 0 };
    let repository = store.create_mailbox(&KeyRing::generate(), &identity, "a").await?;
    let mut writer = repository.begin_snapshot(&SystemClock).await?;
    let hasher = writer.hasher();
    let before = cpu_time()?;
    for (i, message) in messages.iter().enumerate() {
        let pieces = message.raw.chunks(256 << 10).map(|piece| message.raw.slice_ref(piece));
        let blobs: Vec<(model::BlobId, Bytes)> = pieces.map(|piece| (hasher.id(&piece), piece)).collect();
        let blob = blobs[0].0;
        writer.add_blobs(blobs).await?;
        let record = EmailRecord {
            id: EmailId::from(format!("{i}")),
            blob,
            server_blob: 0,
            received_at: 0,
            size: message.raw.len() as u64,
            folders: Vec::new(),
            keywords: Vec::new(),
            envelope: Envelope::default(),
        };
        writer.put_email(record).await?;
    }
    let summary = Summary {
        account_name: String::new(),
        types: Vec::new(),
        emails: messages.len() as u64,
        email_bytes: 0,
        new_emails: 0,
        removed_emails: 0,
        failures: 0,
        shrunk: false,
        since_listing: 0,
        started: Timestamp::UNIX_EPOCH,
        origin: Origin::default(),
    };
    writer.commit(summary, &SystemClock).await?;
    Ok(cpu_time()?.saturating_sub(before))
}

/// User and system time of this process; the kernel counts it in hundredths of a second.
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("a stat line")?.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn letter(seed: usize) -> Bytes {
    let words = [
        "meeting", "invoice", "holiday", "report", "garden", "server", "music", "Tuesday", "coffee", "train",
    ];
    let body: Vec<&str> = (0..300).map(|i| words[(seed * 31 + i * i + i / 7) % words.len()]).collect();
    let lines: Vec<String> = body.chunks(10).map(|line| line.join(" ")).collect();
    Bytes::from(format!(
        "From: n{seed}@example.org\r\nTo: alice@example.org\r\nSubject: Letter {seed}\r\nMessage-ID: <l{seed}@example.org>\r\n\r\n{}\r\n",
        lines.join("\r\n")
    ))
}

fn high_water(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn size_of(dir: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        size += if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
    }
    Ok(size)
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

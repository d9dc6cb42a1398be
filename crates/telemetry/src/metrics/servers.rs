use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::{Label, Refusal, Registry};

/// Seconds; a batch of emails takes tens of milliseconds, a struggling server many seconds.
const LATENCIES: [f64; 11] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Where a server goes that was not named at the start.
const OTHER: &str = "other";

/// How the mail servers answer. Their names are the only texts among labels: those of the configuration, known at the start.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    servers: BTreeMap<String, ServerSeries>,
    other: ServerSeries,
}

/// One server's.
#[derive(Debug, Clone)]
pub struct ServerSeries {
    /// From a request to the end of its answer, in seconds.
    pub request_duration: Histogram,
    /// Requests that failed otherwise than by a refusal.
    pub failures: IntCounter,
    /// Requests that this role has under way.
    pub in_flight: IntGauge,
    /// How many it may have under way at present.
    pub limit: IntGauge,
    /// 1 while it refuses our credentials.
    pub sign_in_refused: IntGauge,
    /// Requests made with a share of its own, because Redis could not be asked.
    pub unshared: IntCounter,
    refusals: Vec<IntCounter>,
}

impl ServerMetrics {
    /// Makes the families; once for a registry.
    pub fn new<'a>(to: &Registry, servers: impl IntoIterator<Item = &'a str>) -> Self {
        let families = Families::new(to);
        let servers = servers.into_iter().map(|name| (name.to_owned(), families.series(name))).collect();
        ServerMetrics { servers, other: families.series(OTHER) }
    }

    /// The server of this name in the configuration; any other shares one series.
    pub fn of(&self, server: &str) -> &ServerSeries {
        self.servers.get(server).unwrap_or(&self.other)
    }
}

impl ServerSeries {
    /// Requests that the server refused because it has too much to do.
    pub fn refused(&self, refusal: Refusal) -> &IntCounter {
        let index = Refusal::EVERY.iter().position(|value| *value == refusal);
        &self.refusals[index.expect("EVERY holds every value")]
    }
}

struct Families {
    request_duration: HistogramVec,
    failures: IntCounterVec,
    in_flight: IntGaugeVec,
    limit: IntGaugeVec,
    sign_in_refused: IntGaugeVec,
    unshared: IntCounterVec,
    refusals: IntCounterVec,
}

impl Families {
    fn new(to: &Registry) -> Self {
        const VALID: &str = "names and labels are constants that the README's test checks";
        let latency =
            HistogramOpts::new("malle_server_request_duration_seconds", "Time of a request to a mail server");
        let failures = Opts::new(
            "malle_server_request_failures_total",
            "Requests that failed otherwise than by a refusal",
        );
        let in_flight = Opts::new("malle_server_requests_in_flight", "Requests to a mail server under way");
        let limit = Opts::new("malle_server_request_limit", "Requests that may be under way at present");
        let unshared = Opts::new(
            "malle_server_unshared_requests_total",
            "Requests under a worker's own budget, without Redis",
        );
        let sign_in =
            Opts::new("malle_server_sign_in_refused", "1 while a mail server refuses our credentials");
        let refusals =
            Opts::new("malle_server_refusals_total", "Requests that a server refused because of its load");
        let both = ["server", Refusal::NAME];
        Families {
            request_duration: added(
                to,
                HistogramVec::new(latency.buckets(LATENCIES.to_vec()), &["server"]).expect(VALID),
            ),
            failures: added(to, IntCounterVec::new(failures, &["server"]).expect(VALID)),
            in_flight: added(to, IntGaugeVec::new(in_flight, &["server"]).expect(VALID)),
            limit: added(to, IntGaugeVec::new(limit, &["server"]).expect(VALID)),
            sign_in_refused: added(to, IntGaugeVec::new(sign_in, &["server"]).expect(VALID)),
            unshared: added(to, IntCounterVec::new(unshared, &["server"]).expect(VALID)),
            refusals: added(to, IntCounterVec::new(refusals, &both).expect(VALID)),
        }
    }

    fn series(&self, server: &str) -> ServerSeries {
        let refusals =
            Refusal::EVERY.iter().map(|status| self.refusals.with_label_values(&[server, status.word()]));
        ServerSeries {
            request_duration: self.request_duration.with_label_values(&[server]),
            failures: self.failures.with_label_values(&[server]),
            in_flight: self.in_flight.with_label_values(&[server]),
            limit: self.limit.with_label_values(&[server]),
            sign_in_refused: self.sign_in_refused.with_label_values(&[server]),
            unshared: self.unshared.with_label_values(&[server]),
            refusals: refusals.collect(),
        }
    }
}

fn added<C: Collector + Clone + 'static>(to: &Registry, family: C) -> C {
    to.add(family.clone());
    family
}

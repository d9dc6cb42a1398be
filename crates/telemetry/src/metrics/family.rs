use std::marker::PhantomData;

use prometheus::core::{Collector, Metric, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts,
};

use crate::{Labels, Registry};

/// A metric for each value of a label, all there from the start: a rate over a counter that appears with its first
/// event would miss that one.
#[derive(Debug, Clone)]
pub struct By<L, M> {
    series: Vec<M>,
    labels: PhantomData<L>,
}

impl<L: Labels, M> By<L, M> {
    /// The one of this value.
    pub fn of(&self, labels: L) -> &M {
        &self.series[labels.index()]
    }

    fn new<B: MetricVecBuilder<M = M> + 'static>(registry: &Registry, vector: MetricVec<B>) -> Self
    where
        M: Metric,
        MetricVec<B>: Collector,
    {
        let series = L::combinations().iter().map(|values| vector.with_label_values(values)).collect();
        registry.add(vector);
        By { series, labels: PhantomData }
    }
}

const VALID: &str = "names and labels are constants that the README's test checks";

/// Makes families in a registry.
impl Registry {
    pub(crate) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.added(IntCounter::new(name, help).expect(VALID))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.added(Gauge::new(name, help).expect(VALID))
    }

    pub(crate) fn count(&self, name: &str, help: &str) -> IntGauge {
        self.added(IntGauge::new(name, help).expect(VALID))
    }

    pub(crate) fn counter_by<L: Labels>(&self, name: &str, help: &str) -> By<L, IntCounter> {
        By::new(self, IntCounterVec::new(Opts::new(name, help), &L::names()).expect(VALID))
    }

    pub(crate) fn gauge_by<L: Labels>(&self, name: &str, help: &str) -> By<L, Gauge> {
        By::new(self, GaugeVec::new(Opts::new(name, help), &L::names()).expect(VALID))
    }

    pub(crate) fn count_by<L: Labels>(&self, name: &str, help: &str) -> By<L, IntGauge> {
        By::new(self, IntGaugeVec::new(Opts::new(name, help), &L::names()).expect(VALID))
    }

    pub(crate) fn histogram_by<L: Labels>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> By<L, Histogram> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        By::new(self, HistogramVec::new(options, &L::names()).expect(VALID))
    }

    fn added<C: Collector + Clone + 'static>(&self, collector: C) -> C {
        self.add(collector.clone());
        collector
    }
}

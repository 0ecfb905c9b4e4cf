//! A kind of requests, in slices that take turns with those of other kinds.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::load::Requests;
use crate::pipeline;
use crate::results::{Cpu as Both, median};
use crate::run::measure;
use crate::server::Server;

/// A kind of requests to one location.
pub(crate) struct Lane {
    pub(crate) requests: Requests,
    next: usize,
    /// How many requests are sent at once over one connection ([`pipeline`]), if many are.
    each: Option<usize>,
    /// Nanoseconds of a request, for each round.
    pub(crate) cpu: Vec<i64>,
}

impl Lane {
    pub(crate) fn new(requests: Requests) -> Self {
        Self { requests, next: 0, each: None, cpu: Vec::new() }
    }

    /// A kind of requests that are sent many at once, so many of them over one connection.
    pub(crate) fn pipelined(requests: Requests, each: usize) -> Self {
        Self { each: Some(each), ..Self::new(requests) }
    }

    pub(crate) fn measure(&mut self, server: &Server, slice: Duration) -> Result<()> {
        let (requests, cpu) = if let Some(each) = self.each {
            pipeline::measure(server, &self.requests, each, &mut self.next, slice)?
        } else {
            let (slice, cpu) = measure(server, &self.requests, &mut self.next, slice)?;
            (slice.requests, cpu)
        };
        self.cpu.push(i64::try_from(cpu / requests)?);
        Ok(())
    }

    /// How much more a request costs than one of `other`, divided by `times`.
    pub(crate) fn beyond(&self, other: &Self, times: i64) -> Both {
        beyond(&self.cpu, &other.cpu, times)
    }
}

/// How much more the one has cost than the other, divided by `times`, where both were measured in the same rounds.
pub(crate) fn beyond(with: &[i64], without: &[i64], times: i64) -> Both {
    let both = with.iter().zip(without);
    let differences: Vec<i64> = both.map(|(with, without)| (with - without) / times).collect();
    let least = |cpu: &[i64]| Both::of(cpu).min;
    Both { min: (least(with) - least(without)) / times, median: median(&differences) }
}

/// One round: a slice of each. The order alternates, so that the caches do not always favour the same lane.
pub(crate) fn round(
    lanes: &mut [Lane],
    number: usize,
    server: &Server,
    slice: Duration,
) -> Result<()> {
    let last = lanes.len().saturating_sub(1);
    for turn in 0..lanes.len() {
        let turn = if number.is_multiple_of(2) { turn } else { last - turn };
        lanes.get_mut(turn).context("a lane")?.measure(server, slice)?;
    }
    Ok(())
}

//! The search: breadth first through every interleaving, each state once, the shortest way to a violation.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::time::Instant;

use proto::repository::SegmentRef;
use proto::repository::log_entry::Kind;
use repository::Object;

use crate::entries::Seen;
use crate::invariants::{self, Verdict};
use crate::process::{Next, Turn};
use crate::recovery;
use crate::rules::Rules;
use crate::world::{Digest, World, digest};

/// Some processes at work on a store.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) start: World,
}

/// How much was looked at.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) stores: usize,
    pub(crate) seconds: f64,
}

/// What is wrong, and the steps that lead there.
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) trace: String,
}

/// Where a state came from: the state before, and which of its next worlds.
type Origin = (u32, u16);

/// A world without its processes and pins.
struct Store<'a>(&'a World);

impl Hash for Store<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash_store(hasher);
    }
}

struct Search {
    rules: Rules,
    origins: Vec<Origin>,
    queue: VecDeque<(u32, World)>,
    states: HashSet<Digest>,
    stores: HashSet<Digest>,
}

/// Goes through everything that can happen. `Err` on the first state in which an invariant fails.
pub(crate) fn explore(scenario: &Scenario, rules: Rules) -> Result<Explored, Violation> {
    let begun = Instant::now();
    let (origins, queue, states) = (Vec::new(), VecDeque::new(), HashSet::new());
    let mut search = Search { rules, origins, queue, states, stores: HashSet::new() };
    let mut steps = 0;
    let violated = |search: &Search, what: String| {
        let last = u32::try_from(search.origins.len() - 1).expect("fewer than 2^32 states");
        Violation { trace: trace(scenario, rules, &search.origins, last), what }
    };
    search.visit(scenario.start.clone(), (0, 0)).map_err(|what| violated(&search, what))?;
    while let Some((at, world)) = search.queue.pop_front() {
        for (place, next) in nexts(&world, rules).into_iter().enumerate() {
            steps += 1;
            let place = u16::try_from(place).expect("few steps lead on");
            search.visit(next.world, (at, place)).map_err(|what| violated(&search, what))?;
        }
    }
    let (states, stores) = (search.states.len(), search.stores.len());
    Ok(Explored { states, steps, stores, seconds: begun.elapsed().as_secs_f64() })
}

impl Search {
    fn visit(&mut self, world: World, origin: Origin) -> Verdict {
        if !self.states.insert(digest(&world)) {
            return Ok(());
        }
        self.origins.push(origin);
        invariants::of_the_processes(&world)?;
        if self.stores.insert(digest(&Store(&world))) {
            invariants::of_the_log(&world, self.rules)?;
            invariants::of_the_store(&world)?;
            recovery::is_possible(&world, self.rules).map_err(|e| format!("no recovery: {e}"))?;
        }
        let number = u32::try_from(self.origins.len() - 1).expect("fewer than 2^32 states");
        self.queue.push_back((number, world));
        Ok(())
    }
}

fn nexts(world: &World, rules: Rules) -> Vec<Next> {
    (0..world.processes.len()).flat_map(|process| Turn::of(process, world, rules)).collect()
}

fn trace(scenario: &Scenario, rules: Rules, origins: &[Origin], last: u32) -> String {
    let mut places = Vec::new();
    let mut at = last;
    while at != 0 {
        let (before, place) = origins[at as usize];
        places.push(place);
        at = before;
    }
    let mut world = scenario.start.clone();
    let mut text = format!("{}, with the log at {}\n", scenario.name, world.newest().number());
    for place in places.iter().rev() {
        let next = nexts(&world, rules).swap_remove(usize::from(*place));
        let (before, after) = (&world.processes[next.process], &next.world.processes[next.process]);
        let who = before.process.who_stepped(&after.process);
        let _ = write!(text, "  {}: {who} {}", next.process + 1, next.label);
        for object in world.stored().difference(&next.world.stored()) {
            let _ = write!(text, " ({})", short(*object));
        }
        if let Some(seen) = next.world.created.get(world.created.len()) {
            let _ = write!(text, " → {}", described(seen));
        }
        text.push('\n');
        world = next.world;
    }
    text
}

/// An entry in a few words; segments and packs as *who.how-manieth*.
fn described(seen: &Seen) -> String {
    let names = |segments: &[SegmentRef]| -> Vec<String> {
        segments.iter().map(|segment| format!("{}.{}", segment.name[0], segment.name[1])).collect()
    };
    let what = match &seen.entry.kind {
        Some(Kind::Snapshot(s)) => format!("snapshot from {} of segments {:?}", s.base, names(&s.segments)),
        Some(Kind::Progress(p)) => {
            format!("slice behind {} of segments {:?}", p.previous, names(&p.segments))
        }
        Some(Kind::Condemn(c)) => {
            let objects: Vec<_> =
                c.objects.iter().filter_map(|name| Object::parse(name)).map(short).collect();
            let rewritten =
                c.replacements.iter().map(|r| format!("{} is now {:?}", r.snapshot, names(&r.segments)));
            format!("condemned {objects:?} {:?}", rewritten.collect::<Vec<_>>())
        }
        Some(Kind::Damaged(d)) => {
            let objects: Vec<_> =
                d.objects.iter().filter_map(|name| Object::parse(name)).map(short).collect();
            format!("damaged are {objects:?}")
        }
        Some(Kind::Reset(r)) => format!("entry {} is accepted instead of {}", r.found, r.remembered),
        kind => format!("{kind:?}"),
    };
    format!("entry {}: {what}", seen.number())
}

fn short(object: Object) -> String {
    match object {
        Object::Pack(name) => format!("pack {}.{}", name.0[0], name.0[1]),
        Object::Segment(name) => format!("segment {}.{}", name.0[0], name.0[1]),
        other => other.relative(),
    }
}

//! Runs threads one at a time and tries every order in which they can go on, up to a number of times at which one that
//! could go on is interrupted. Two or three interruptions are what practically every known race needs (Musuvathi and
//! Qadeer, "Iterative context bounding", 2007); without a bound there are too many orders even for three short threads.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};

type Body = Box<dyn FnOnce() + Send>;

/// One run: the threads, and what has to be true when all have ended.
pub struct Run {
    pub threads: Vec<Body>,
    pub check: Box<dyn FnOnce()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    WaitsFor(usize),
    Ended,
}

/// At one point: which of how many went on.
#[derive(Debug, Clone, Copy)]
struct Choice {
    taken: usize,
    of: usize,
}

#[derive(Debug)]
struct State {
    threads: Vec<Status>,
    current: usize,
    interruptions: usize,
    path: Vec<Choice>,
    depth: usize,
    /// Threads in the order in which they went on, for whoever has to find out what went wrong.
    order: Vec<usize>,
    failed: Option<String>,
}

struct Scheduler {
    state: Mutex<State>,
    turn: Condvar,
    interruptions_max: usize,
}

thread_local! {
    static ME: RefCell<Option<(Arc<Scheduler>, usize)>> = const { RefCell::new(None) };
}

fn me() -> Option<(Arc<Scheduler>, usize)> {
    ME.with_borrow(Clone::clone)
}

/// Another thread may go on here. `false` outside a model.
pub fn point() -> bool {
    me().is_some_and(|(scheduler, me)| {
        scheduler.switch(me, Status::Ready);
        true
    })
}

/// Goes on when this lock was released.
pub fn wait_for(lock: usize) {
    if let Some((scheduler, me)) = me() {
        scheduler.switch(me, Status::WaitsFor(lock));
    }
}

pub fn released(lock: usize) {
    if let Some((scheduler, _)) = me() {
        let mut state = scheduler.state.lock().unwrap();
        let waiting = state.threads.iter_mut().filter(|status| **status == Status::WaitsFor(lock));
        waiting.for_each(|status| *status = Status::Ready);
    }
}

impl State {
    /// Who goes on, if anybody can.
    fn choose(&mut self, me: usize, interruptions_max: usize) -> Option<usize> {
        let ready = |(number, status): (usize, &Status)| (*status == Status::Ready).then_some(number);
        let mut ready: Vec<usize> = self.threads.iter().enumerate().filter_map(ready).collect();
        if let Some(at) = ready.iter().position(|number| *number == me) {
            // Whoever goes on without an interruption comes first.
            ready.swap(0, at);
            ready[1..].sort_unstable();
            if self.interruptions >= interruptions_max {
                ready.truncate(1);
            }
        }
        let taken = match ready.len() {
            0 => return None,
            1 => 0,
            of => {
                if self.depth == self.path.len() {
                    self.path.push(Choice { taken: 0, of });
                }
                let choice = self.path[self.depth];
                assert_eq!(choice.of, of, "the threads do something else when they are run again");
                self.depth += 1;
                choice.taken
            }
        };
        let next = ready[taken];
        self.interruptions += usize::from(next != me && ready.contains(&me));
        Some(next)
    }
}

impl Scheduler {
    /// Leaves the turn to whoever is chosen, and comes back when it is this one's again.
    fn switch(&self, me: usize, status: Status) {
        let mut state = self.state.lock().unwrap();
        if state.failed.is_some() {
            // Nothing is asked any more: every thread runs to its end by itself, one waiting for a lock spins for it.
            drop(state);
            std::thread::yield_now();
            return;
        }
        state.threads[me] = status;
        match state.choose(me, self.interruptions_max) {
            Some(next) => {
                if next != state.current {
                    state.order.push(next);
                }
                state.current = next;
            }
            None if state.threads.iter().all(|status| *status == Status::Ended) => {}
            None => state.failed = Some(format!("a deadlock: {:?}", state.threads)),
        }
        self.turn.notify_all();
        if status != Status::Ended {
            drop(self.turn.wait_while(state, |state| state.current != me && state.failed.is_none()).unwrap());
        }
    }

    fn run(self: &Arc<Self>, me: usize, body: Body) {
        ME.set(Some((self.clone(), me)));
        drop(self.turn.wait_while(self.state.lock().unwrap(), |state| state.current != me).unwrap());
        let ended = catch_unwind(AssertUnwindSafe(body));
        if let Err(why) = ended {
            let why = why.downcast_ref::<String>().cloned().or(why.downcast_ref::<&str>().map(|why| (*why).to_owned()));
            self.state.lock().unwrap().failed.get_or_insert(why.unwrap_or_default());
        }
        self.switch(me, Status::Ended);
        ME.set(None);
    }
}

/// Tries all orders. How many there were.
pub fn explore(interruptions_max: usize, mut scenario: impl FnMut() -> Run) -> usize {
    let mut path: Vec<Choice> = Vec::new();
    for runs in 1.. {
        let Run { threads, check } = scenario();
        let state = State {
            threads: vec![Status::Ready; threads.len()],
            current: usize::MAX,
            interruptions: 0,
            path,
            depth: 0,
            order: Vec::new(),
            failed: None,
        };
        let scheduler = Arc::new(Scheduler { state: Mutex::new(state), turn: Condvar::new(), interruptions_max });
        std::thread::scope(|scope| {
            for (number, body) in threads.into_iter().enumerate() {
                let scheduler = &scheduler;
                scope.spawn(move || scheduler.run(number, body));
            }
            let mut state = scheduler.state.lock().unwrap();
            let first = state.choose(usize::MAX, interruptions_max).unwrap();
            state.current = first;
            state.order.push(first);
            scheduler.turn.notify_all();
        });
        let mut state = scheduler.state.lock().unwrap();
        let order = format!("order {runs}: {:?}", state.order);
        if let Some(why) = &state.failed {
            panic!("{why}; {order}");
        }
        if let Err(why) = catch_unwind(AssertUnwindSafe(check)) {
            println!("{order}");
            resume_unwind(why);
        }
        path = std::mem::take(&mut state.path);
        drop(state);
        while path.last().is_some_and(|last| last.taken + 1 == last.of) {
            path.pop();
        }
        match path.last_mut() {
            Some(last) => last.taken += 1,
            None => return runs,
        }
    }
    unreachable!()
}

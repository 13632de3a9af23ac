//! Questions of many callers, asked together.
//!
//! While one statement is under way, what comes meanwhile collects and goes into the next: nobody waits who is alone, and
//! as few statements as a crowd allows, forty a second at most unless each of them answers many. A question is never put
//! to a statement that has already begun, so each answer is at least as new as its question. A storm cannot take the whole pool either.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Statements of one kind under way at a time: with a second one, a statement that hangs does not stop everybody.
const LANES: usize = 2;
/// Between the beginnings of two statements of a kind, unless so many questions wait: on a busy machine statements are
/// quicker than those who ask, and a storm would become as many statements.
const PACE: Duration = Duration::from_millis(25);
const ENOUGH: usize = 64;
/// For one statement; SDKs wait five seconds for a reply.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// From a question to its answer, the wait for a statement that hangs included.
const ASKED_WITHIN: Duration = Duration::from_millis(4_500);

/// Answers all the questions, in order; or none of them.
type Ask<Q, A> = dyn Fn(Vec<Q>) -> BoxFuture<'static, Option<Vec<A>>> + Send + Sync;

/// One kind of question. Clones ask together.
pub struct Together<Q, A>(Arc<Inner<Q, A>>);

struct Inner<Q, A> {
    ask: Box<Ask<Q, A>>,
    /// What a question adds to a statement.
    weight: fn(&Q) -> usize,
    /// How much a statement may hold; a question that is heavier goes alone.
    weight_max: usize,
    /// What can wait goes into a statement when nothing else wants to.
    can_wait: fn(&Q) -> bool,
    state: Mutex<State<Q, A>>,
}

struct State<Q, A> {
    waiting: Line<Q, A>,
    patient: Line<Q, A>,
    running: usize,
    /// When the last statement began.
    begun: Option<Instant>,
}

/// Questions in the order in which they came, with who asked.
type Line<Q, A> = VecDeque<(Q, oneshot::Sender<A>)>;

/// The statement failed or took too long; why is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

impl<Q, A> Clone for Together<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: Send + 'static, A: Send + 'static> Together<Q, A> {
    /// Asks by `ask`, at most `weight_max` at a time as `weight` counts it. `ask` writes down why it has no answers.
    pub fn new(
        weight_max: usize,
        weight: fn(&Q) -> usize,
        ask: impl Fn(Vec<Q>) -> BoxFuture<'static, Option<Vec<A>>> + Send + Sync + 'static,
    ) -> Self {
        Self::with_patience(weight_max, weight, |_| false, ask)
    }

    /// The same, where some questions let all others go first.
    pub fn with_patience(
        weight_max: usize,
        weight: fn(&Q) -> usize,
        can_wait: fn(&Q) -> bool,
        ask: impl Fn(Vec<Q>) -> BoxFuture<'static, Option<Vec<A>>> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), patient: VecDeque::new(), running: 0, begun: None });
        Self(Arc::new(Inner { ask: Box::new(ask), weight, weight_max, can_wait, state }))
    }

    /// The answer to one question, asked after this call began.
    pub async fn ask(&self, question: Q) -> Result<A, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let begin = {
            let mut state = self.0.state.lock();
            let can_wait = (self.0.can_wait)(&question);
            let line = if can_wait { &mut state.patient } else { &mut state.waiting };
            line.push_back((question, answer));
            let begin = state.running < LANES;
            state.running += usize::from(begin);
            begin
        };
        if begin {
            // A task of its own: whoever began may go away, and the others still want their answers.
            tokio::spawn(self.clone().answer_all());
        }
        tokio::time::timeout(ASKED_WITHIN, answered).await.ok().and_then(Result::ok).ok_or(Unanswered)
    }

    async fn answer_all(self) {
        loop {
            // Whoever is ready to ask at this moment comes along.
            tokio::task::yield_now().await;
            self.keep_pace().await;
            let (questions, answers) = self.take();
            if questions.is_empty() {
                return;
            }
            let asked = self.clone();
            // Again a task: a panic loses these answers and not those of everybody after them.
            let asking = tokio::spawn(async move {
                tokio::time::timeout(ANSWER_WITHIN, (asked.0.ask)(questions)).await.unwrap_or_else(|_| {
                    tracing::warn!("a statement for many took longer than {ANSWER_WITHIN:?}");
                    None
                })
            });
            // Without answers the senders are dropped, and that is the answer.
            for (sender, answer) in answers.into_iter().zip(asking.await.ok().flatten().unwrap_or_default()) {
                let _ = sender.send(answer);
            }
        }
    }

    /// Waits until a statement may begin: at once after a pause, or for enough questions.
    async fn keep_pace(&self) {
        let next = {
            let mut state = self.0.state.lock();
            let now = Instant::now();
            let next = state.begun.map(|begun| begun + PACE).filter(|next| *next > now);
            let enough = state.waiting.len() + state.patient.len() >= ENOUGH;
            let next = next.filter(|_| !enough);
            state.begun = Some(next.unwrap_or(now));
            next
        };
        if let Some(next) = next {
            tokio::time::sleep_until(next).await;
        }
    }

    /// The oldest questions, as many as go into one statement; with none left this lane is over.
    fn take(&self) -> (Vec<Q>, Vec<oneshot::Sender<A>>) {
        let mut state = self.0.state.lock();
        let (mut weight, mut questions, mut answers) = (0, Vec::new(), Vec::new());
        let State { waiting, patient, .. } = &mut *state;
        for line in [waiting, patient] {
            while let Some((question, answer)) = line.pop_front() {
                if answer.is_closed() {
                    continue;
                }
                weight += (self.0.weight)(&question);
                if weight > self.0.weight_max && !questions.is_empty() {
                    line.push_front((question, answer));
                    break;
                }
                questions.push(question);
                answers.push(answer);
            }
        }
        state.running -= usize::from(questions.is_empty());
        (questions, answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    /// Doubles numbers, a permit for each statement; 13 is one too many. Tells what each statement was asked.
    fn doubling(weight_max: usize, permits: &Arc<Semaphore>, asked: &Arc<Mutex<Vec<Vec<u32>>>>) -> Together<u32, u32> {
        let (permits, asked) = (permits.clone(), asked.clone());
        Together::new(
            weight_max,
            |question| *question as usize,
            move |questions| {
                asked.lock().push(questions.clone());
                let permits = permits.clone();
                async move {
                    permits.acquire().await.unwrap().forget();
                    assert!(!questions.contains(&13), "too much");
                    Some(questions.into_iter().map(|question| 2 * question).collect())
                }
                .boxed()
            },
        )
    }

    fn ask(together: &Together<u32, u32>, question: u32) -> tokio::task::JoinHandle<Result<u32, Unanswered>> {
        let together = together.clone();
        tokio::spawn(async move { together.ask(question).await })
    }

    async fn until(test: impl Fn() -> bool) {
        while !test() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_comes_during_a_statement_goes_together_into_the_next_one() {
        let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = doubling(10, &permits, &asked);
        let mut answers = vec![ask(&together, 1)];
        until(|| asked.lock().len() == 1).await;
        answers.push(ask(&together, 2));
        until(|| asked.lock().len() == 2).await;
        // Both lanes are busy now. In order, as many as fit; what is too much for any statement goes alone.
        answers.extend([3, 4, 4, 20, 5].map(|question| ask(&together, question)));
        until(|| together.0.state.lock().waiting.len() == 5).await;
        // Everything else that could run now does, and nobody takes them.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!((together.0.state.lock().waiting.len(), asked.lock().len()), (5, 2));
        permits.add_permits(10);
        for (answer, question) in answers.into_iter().zip([1, 2, 3, 4, 4, 20, 5]) {
            assert_eq!(answer.await.unwrap(), Ok(2 * question));
        }
        assert_eq!(*asked.lock(), [vec![1], vec![2], vec![3, 4], vec![4], vec![20], vec![5]]);
        until(|| together.0.state.lock().running == 0).await;
    }

    #[tokio::test]
    async fn what_can_wait_lets_the_others_go_first() {
        let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<Vec<Vec<u32>>>>::default());
        let (noted, free) = (asked.clone(), permits.clone());
        let answer = move |questions: Vec<u32>| {
            noted.lock().push(questions.clone());
            let free = free.clone();
            async move {
                free.acquire().await.unwrap().forget();
                Some(questions)
            }
            .boxed()
        };
        let together = Together::with_patience(3, |_| 1, |question| question % 2 == 1, answer);
        let mut answers = Vec::new();
        for (so_far, question) in [(1, 10), (2, 20)] {
            answers.push(ask(&together, question));
            until(|| asked.lock().len() == so_far).await;
        }
        for (so_far, question) in (1..).zip([1, 3, 5, 2, 4]) {
            answers.push(ask(&together, question));
            until(|| {
                let state = together.0.state.lock();
                state.waiting.len() + state.patient.len() == so_far
            })
            .await;
        }
        permits.add_permits(10);
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(*asked.lock(), [vec![10], vec![20], vec![2, 4, 1], vec![3, 5]]);
    }

    #[tokio::test]
    async fn who_goes_away_is_not_asked_for_and_a_failure_is_of_those_asked_with_it() {
        let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = doubling(100, &permits, &asked);
        let first = [1, 2].map(|question| ask(&together, question));
        until(|| asked.lock().iter().flatten().count() == 2).await;
        let busy = ask(&together, 3);
        until(|| asked.lock().iter().flatten().count() == 3).await;
        let (gone, bad, same) = (ask(&together, 5), ask(&together, 13), ask(&together, 6));
        until(|| together.0.state.lock().waiting.len() == 3).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        permits.add_permits(10);
        for (answer, question) in first.into_iter().chain([busy]).zip([1, 2, 3]) {
            assert_eq!(answer.await.unwrap(), Ok(2 * question));
        }
        assert_eq!((bad.await.unwrap(), same.await.unwrap()), (Err(Unanswered), Err(Unanswered)));
        assert_eq!(ask(&together, 7).await.unwrap(), Ok(14));
        assert_eq!(asked.lock().last(), Some(&vec![7]));
        assert!(asked.lock().contains(&vec![13, 6]));
    }
}

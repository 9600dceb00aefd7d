//! Rounds that take turns.

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode, request::Parts};
use tower::Service;

use crate::{allocations, rows::Row, thread_time::thread_time};

/// Something that may be called so many times, and says what the calls took.
pub(crate) type Subject = Box<dyn FnMut(usize) -> Spent>;

/// The time of some calls, and their allocations while those are counted.
pub(crate) struct Spent {
    time: Duration,
    allocations: u64,
}

/// What one row took.
#[derive(Default)]
pub(crate) struct Series {
    /// Per call, in nanoseconds, round by round.
    pub(crate) rounds: Vec<f64>,
    /// Of one call.
    pub(crate) allocations: u64,
}

/// The calls before a round that nobody times.
const WARM_UP: usize = 16;

/// Measures all subjects in each round.
pub(crate) fn measure(mut subjects: Vec<(Row, Subject)>, rounds: usize) -> Vec<(Row, Series)> {
    let clock = clock_cost();
    let mut plans: Vec<_> = subjects
        .iter_mut()
        .map(|(_, subject)| plan(subject))
        .collect();
    let mut order: Vec<_> = (0..subjects.len()).collect();
    for _ in 0..rounds {
        // Nobody always comes after the same neighbour's caches.
        order.rotate_left(1);
        for &index in &order {
            let (calls, series) = &mut plans[index];
            // What the others have thrown out of the caches is fetched again before the time begins.
            subjects[index].1(WARM_UP.min(*calls));
            let time = subjects[index].1(*calls).time.saturating_sub(clock);
            series.rounds.push(time.as_nanos() as f64 / *calls as f64);
        }
    }
    let series = plans.into_iter().map(|(_, series)| series);
    subjects
        .into_iter()
        .map(|(row, _)| row)
        .zip(series)
        .collect()
}

/// Calls in place `calls` times, and takes the time.
pub(crate) fn timed(calls: impl FnOnce()) -> Spent {
    let begun = thread_time();
    let ((), allocations) = allocations::counted(calls);
    Spent {
        time: thread_time() - begun,
        allocations,
    }
}

/// A call without a request, such as that of a verifier.
pub(crate) fn call(mut call: impl FnMut() -> bool + 'static) -> Subject {
    Box::new(move |calls| {
        timed(|| {
            for _ in 0..calls {
                assert!(call());
            }
        })
    })
}

/// A service that answers this request with 200, and the one that is forged with anything else.
pub(crate) fn service<S, Q, R>(service: S, request: Parts, forged: Option<Parts>) -> Subject
where
    S: Service<Request<Q>, Response = Response<R>, Error = Infallible> + 'static,
    Q: Default + 'static,
{
    service_of_many(service, vec![request], forged)
}

/// The same with requests that come one after the other, again and again.
pub(crate) fn service_of_many<S, Q, R>(
    mut service: S,
    requests: Vec<Parts>,
    forged: Option<Parts>,
) -> Subject
where
    S: Service<Request<Q>, Response = Response<R>, Error = Infallible> + 'static,
    Q: Default + 'static,
{
    if let Some(forged) = forged {
        let request = Request::from_parts(forged, Q::default());
        assert_ne!(answer(&mut service, request).status(), StatusCode::OK);
    }
    let (mut next, mut made) = (0, Vec::new());
    Box::new(move |calls| {
        made.extend((next..next + calls).map(|index| {
            let head = requests[index % requests.len()].clone();
            Request::from_parts(head, Q::default())
        }));
        next += calls;
        timed(|| {
            for request in made.drain(..) {
                assert_eq!(answer(&mut service, request).status(), StatusCode::OK);
            }
        })
    })
}

/// What is ready at once, as everything here is: the keys are at hand.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("with the key at hand nothing is awaited"),
    }
}

fn answer<S, Q, R>(service: &mut S, request: Request<Q>) -> Response<R>
where
    S: Service<Request<Q>, Response = Response<R>, Error = Infallible>,
{
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(ready.is_ready());
    let Ok(response) = now(service.call(request));
    response
}

/// How many calls make a round of about 100 µs, and the allocations of one of them.
fn plan(subject: &mut Subject) -> (usize, Series) {
    const ROUND: Duration = Duration::from_micros(100);
    const CALLS: usize = 16;
    let warm = (0..8).map(|_| subject(CALLS).time).min().unwrap();
    let calls = ROUND.as_nanos() as usize * CALLS / warm.as_nanos().max(1) as usize;
    let spent = allocations::counting(|| subject(CALLS));
    let series = Series {
        rounds: Vec::new(),
        // What comes up once in many calls belongs to none of them.
        allocations: spent.allocations / CALLS as u64,
    };
    (calls.clamp(4, 64), series)
}

/// What a look at the clock adds to a round.
fn clock_cost() -> Duration {
    let mut costs: Vec<_> = (0..1_001).map(|_| timed(|| ()).time).collect();
    costs.sort();
    costs[costs.len() / 2]
}

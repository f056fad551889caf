//! Who is admitted, who waits, and for whom a long run waits.

use super::*;

fn request(client: &str, seconds: f64) -> AdmissionRequest {
    AdmissionRequest {
        client: Arc::from(client),
        priority: Priority::Normal,
        work: 1,
        deadline: Instant::now() + Duration::from_secs_f64(seconds),
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn permits_are_bounded_and_pass_to_waiting_requests() {
    let admission = AdmissionController::new(1, 4);
    let first = admission
        .admit(&request("a", 9.0))
        .await
        .unwrap_or_else(|_| panic!("free"));
    let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
    let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
    settle().await;
    assert_eq!((admission.admitted(), admission.length()), (1, 1));
    drop(first);
    assert!(second.await.unwrap());
    assert_eq!((admission.admitted(), admission.length()), (0, 0));
}

#[tokio::test]
async fn a_dropped_request_leaves_the_queue() {
    let admission = AdmissionController::new(1, 4);
    let first = admission.admit(&request("a", 9.0)).await;
    let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
    let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
    settle().await;
    second.abort();
    assert!(second.await.is_err());
    assert_eq!(admission.length(), 0);
    drop(first);
    assert_eq!(admission.admitted(), 0);
}

#[tokio::test]
async fn a_request_that_waits_past_its_deadline_gets_a_deadline_error() {
    let admission = AdmissionController::new(1, 4);
    let _first = admission.admit(&request("a", 9.0)).await;
    let refused = admission.admit(&request("b", 0.05)).await.err();
    assert!(matches!(refused, Some(AdmissionError::Deadline { .. })));
    assert_eq!(admission.length(), 0);
}

#[tokio::test]
async fn a_request_that_cannot_make_its_deadline_is_refused_at_once() {
    let admission = AdmissionController::new(1, 4);
    let _first = admission.admit(&request("a", 9.0)).await;
    admission.record_run(Duration::from_secs(2), 1);
    let refused = admission.admit(&request("b", 1.0)).await.err();
    let retry_after = Duration::from_secs(2);
    assert_eq!(refused, Some(AdmissionError::Deadline { retry_after }));
}

#[tokio::test]
async fn a_client_with_many_requests_is_evicted_for_one_with_few() {
    let admission = AdmissionController::new(1, 2);
    let _first = admission.admit(&request("heavy", 9.0)).await;
    let waits = |client: &'static str| {
        let (controller, waiting) = (Arc::clone(&admission), request(client, 9.0));
        tokio::spawn(async move { controller.admit(&waiting).await.map(drop).err() })
    };
    let _kept = waits("heavy");
    settle().await;
    let evicted = waits("heavy");
    settle().await;
    let _light = waits("light");
    settle().await;
    assert!(matches!(
        evicted.await.unwrap(),
        Some(AdmissionError::QueueFull {
            own_fault: true,
            ..
        })
    ));
    assert_eq!(admission.length(), 2);
}

#[tokio::test]
async fn a_closed_controller_serves_waiting_requests_and_then_is_drained() {
    let admission = AdmissionController::new(1, 4);
    let first = admission.admit(&request("a", 9.0)).await;
    let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
    let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
    settle().await;
    admission.close();
    assert_eq!(
        admission.admit(&request("c", 9.0)).await.err(),
        Some(AdmissionError::Closed)
    );
    drop(first);
    assert!(second.await.unwrap());
    admission.drained().await;
}

fn work_of(client: &str, work: u64) -> AdmissionRequest {
    AdmissionRequest {
        work,
        ..request(client, 99.0)
    }
}

#[tokio::test]
async fn a_large_request_is_admitted_alone_and_small_ones_together() {
    let admission = AdmissionController::new(4, 9);
    let small = admission.admit(&work_of("a", 1)).await;
    let (controller, large) = (Arc::clone(&admission), work_of("b", 100));
    let large = tokio::spawn(async move { controller.admit(&large).await });
    settle().await;
    assert_eq!((admission.admitted(), admission.length()), (1, 1));
    drop(small);
    let large = large.await.unwrap();
    assert!(large.is_ok());
    assert_eq!((admission.admitted(), admission.length()), (1, 0));
}

#[tokio::test]
async fn a_long_run_waits_for_a_client_that_was_just_answered() {
    let admission = AdmissionController::new(4, 9);
    // Ten milliseconds a unit: the large requests take a second.
    admission.record_run(Duration::from_millis(10), 1);
    let first = admission.admit(&work_of("heavy", 100)).await;
    let (controller, second) = (Arc::clone(&admission), work_of("heavy", 100));
    let second = tokio::spawn(async move { controller.admit(&second).await.map(drop) });
    let (controller, light) = (Arc::clone(&admission), work_of("light", 1));
    let light = tokio::spawn(async move { controller.admit(&light).await });
    settle().await;
    drop(first);
    // Its answer, and soon its next request: still before the second long run.
    drop(light.await.unwrap());
    settle().await;
    assert_eq!((admission.admitted(), admission.length()), (0, 1));
    drop(admission.admit(&work_of("light", 1)).await);
    assert!(!second.is_finished());
    // When it does not come back, the long run begins.
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_long_run_waits_no_longer_than_it_takes_itself() {
    let admission = AdmissionController::new(4, 9);
    // Ten milliseconds a unit: the run takes 60.
    admission.record_run(Duration::from_millis(10), 1);
    let mut state = admission.lock();
    let mut push = || {
        let (grant, _) = oneshot::channel();
        let pushed = state.enqueue(&work_of("heavy", 6), grant);
        pushed.unwrap_or_else(|_| panic!("there is room"))
    };
    push();
    let id = push();
    // It has had its turn once, so that others come first.
    state.queue.pop();
    let start = Instant::now();
    // Another client is answered, and comes back, again and again.
    let mut waits = |after: u64| {
        let now = start + Duration::from_millis(after);
        state.answered.insert(Arc::from("light"), now);
        state.anticipation(id, 6, now)
    };
    for after in (0..60).step_by(10) {
        assert!(waits(after).is_some(), "{after} ms");
    }
    assert_eq!(waits(60), None);
}

#[tokio::test]
async fn a_new_version_starts_from_the_pace_of_the_old_one() {
    let [old, new] = [(); 2].map(|()| AdmissionController::new(1, 4));
    old.record_run(Duration::from_secs(2), 1);
    new.take_pace_of(&old);
    let _first = new.admit(&request("a", 9.0)).await;
    let refused = new.admit(&request("b", 1.0)).await.err();
    assert!(matches!(refused, Some(AdmissionError::Deadline { .. })));
}

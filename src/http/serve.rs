//! The one port: accepts connections within a cap, serves HTTP/1.1, and stops without cutting a call off.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{Edge, Peer};
use crate::state::State;

/// Connections that may be open.
const CONNECTIONS: usize = 10_000;
/// How long the head of a request may take, and an idle connection may wait for the next: longer than a proxy's idle time.
const HEAD: Duration = Duration::from_secs(75);
/// Connections that are served although they came in while the port was being closed.
const LATE: usize = 256;
/// Pause after an error of the listening socket itself (out of file descriptors).
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then stops accepting and waits for the calls in flight.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let edge = Edge::new(&state);
    // HTTP/1.1 alone: HTTP/2 without TLS is asked for by nobody, and hyper-util waits for its first bytes without a limit of time.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).pipeline_flush(true);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut late = 0;
    while late < LATE {
        late += usize::from(stop.is_cancelled());
        if places.available_permits() == 0 {
            tracing::warn!(open = CONNECTIONS, "every place for a connection is taken; more wait");
        }
        let place = tokio::select! {
            biased;
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            // Only now: who was already let in by the kernel is served.
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let edge = edge.clone();
        let service = service_fn(move |request| {
            let edge = edge.clone();
            async move { Ok::<_, Infallible>(edge.answer(request, Peer(peer)).await) }
        });
        let connection = graceful.watch(http.serve_connection(io(stream), service));
        let open = Open::new(&state);
        tokio::spawn(async move {
            // A client that goes away in the middle is no error of ours.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop((open, place));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn io(stream: TcpStream) -> TokioIo<TcpStream> {
    // Answers are small and whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // A client that takes nothing of its answer does not hold it for ever.
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(HEAD)) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    TokioIo::new(stream)
}

/// An open connection, counted.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.metrics.connections.increment(1.0);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.decrement(1.0);
    }
}

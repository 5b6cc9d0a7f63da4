//! The thread that serves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use k485_proto::dialect::Dialect;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::access::Access;
use crate::backend::Backend;
use crate::events::watch_state;
use crate::feed::Feed;
use crate::routes::{Shared, router};
use crate::token::Token;

/// How many connections there may be at once; the next ones wait.
const CONNECTIONS: usize = 128;
/// How long a connection may take to say what it asks for, and how long it is kept for the next
/// request.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server is made of.
pub struct Config {
    /// What stands behind it.
    pub backend: Arc<dyn Backend>,
    /// What the bus carried.
    pub feed: Arc<Feed>,
    /// Whose names filters use.
    pub dialect: &'static Dialect,
    /// What whoever changes something must know.
    pub token: Token,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be listened on.
    #[error("http://{address}: cannot listen there: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("cannot start the thread of the page: {0}")]
    Thread(io::Error),
}

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    name: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and serves on a thread of its own. Port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(address: SocketAddr, config: Config) -> Result<Server, OpenError> {
        let listen = |source| OpenError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let access = Access::new(bound, config.token);
        let name = access.name();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(OpenError::Thread)?;
        let listener = {
            let _in = runtime.enter();
            TcpListener::from_std(listener).map_err(listen)?
        };
        let Config { backend, feed, dialect, .. } = config;
        let shared = Arc::new(Shared::new(backend, feed, dialect, access));
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
            // A question that waits for what is behind is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(run);
        let thread = Some(thread.map_err(OpenError::Thread)?);
        Ok(Server { address: bound, name, stop: Some(stop), thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's URL, without the token.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes connections. The runtime is one thread's; nothing here holds it up.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    tokio::spawn(watch_state(Arc::clone(&shared)));
    let service = TowerToHyperService::new(router(shared));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 * 1024);
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Too many descriptors, or a client that was gone at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // A client that fails is gone; that is nobody's failure.
            let _ = connection.with_upgrades().await;
            drop(place);
        });
    }
}

//! hyper: one HTTP/1.1 connection, whose other end is a buffer.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
};
use hyper_util::service::TowerToHyperService;
use tower::{Layer, Service};

use crate::{
    in_place::{Bare, Front, Refusing},
    measure::Face,
    samples::Sample,
};

/// A connection that is kept alive from request to request.
struct Connection {
    serving: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    client: Rc<RefCell<Client>>,
}

/// What the client has to say, and what it was told.
#[derive(Default)]
struct Client {
    request: Vec<u8>,
    sent: usize,
    response: Vec<u8>,
}

/// The server's end.
struct Wire(Rc<RefCell<Client>>);

/// A tower service on a connection of hyper.
pub fn hyper(front: Front<'_>) -> Box<dyn Face> {
    match front {
        Front::Nothing => serve(Bare),
        Front::Guard(guard) => serve(guard.layer(Bare)),
        Front::Refusal(kind) => serve(Refusing::<Full<Bytes>>::new(kind)),
    }
}

fn serve<S>(service: S) -> Box<dyn Face>
where
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible>,
    S: Clone + 'static,
{
    let client = Rc::<RefCell<Client>>::default();
    let wire = Wire(Rc::clone(&client));
    let mut server = http1::Builder::new();
    // The date is written anew each second, which no request can help.
    server.auto_date_header(false);
    let serving = server.serve_connection(wire, TowerToHyperService::new(service));
    Box::new(Connection {
        serving: Box::pin(serving),
        client,
    })
}

impl Face for Connection {
    fn prepare(&mut self, sample: &Sample) {
        let client = &mut *self.client.borrow_mut();
        client.request.clear();
        client.request.extend_from_slice(sample.bytes());
        client.sent = 0;
        client.response.clear();
    }

    fn answer(&mut self) -> StatusCode {
        let mut cx = Context::from_waker(Waker::noop());
        // It waits for the next request once this one is answered.
        assert!(self.serving.as_mut().poll(&mut cx).is_pending());
        let client = self.client.borrow();
        let status = client.response.strip_prefix(b"HTTP/1.1 ").unwrap();
        StatusCode::from_bytes(&status[..3]).unwrap()
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let client = &mut *self.0.borrow_mut();
        let rest = &client.request[client.sent..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        client.sent += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().response.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

//! [`Sample`]: one request, as a value and as bytes on a connection.

use http::{Request, request::Parts};

/// Where a token is put.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Header,
    /// At the end of 2 KB of cookies.
    Cookie,
    /// Among five other parameters.
    Query,
}

/// One request without a body.
#[derive(Debug)]
pub struct Sample {
    head: Parts,
    bytes: Vec<u8>,
}

impl Sample {
    /// A request that says nothing of its sender.
    pub fn anonymous(path: &str) -> Self {
        Self::new(path, None)
    }

    /// A request with a token.
    pub fn with_token(token: &str, place: Place) -> Self {
        match place {
            Place::Header => Self::new("/chat", Some(("authorization", format!("Bearer {token}")))),
            Place::Cookie => {
                let other = "consent=3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11; ";
                let cookies = format!("{}jwt_token={token}", other.repeat(2_048 / other.len()));
                Self::new("/chat", Some(("cookie", cookies)))
            }
            Place::Query => {
                let uri = format!(
                    "/chat?agent=helper&room=42&_pk=0f3c9d&access_token={token}&lang=en&v=2"
                );
                Self::new(&uri, None)
            }
        }
    }

    fn new(uri: &str, credentials: Option<(&str, String)>) -> Self {
        let common = [
            ("host", "api.example"),
            ("user-agent", "counts/1"),
            ("accept", "*/*"),
        ];
        let mut request = Request::get(uri);
        let mut text = format!("GET {uri} HTTP/1.1\r\n");
        let credentials = credentials
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        for (name, value) in common.into_iter().chain(credentials) {
            request = request.header(name, value);
            text += &format!("{name}: {value}\r\n");
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Self {
            head,
            bytes: (text + "\r\n").into_bytes(),
        }
    }

    pub fn head(&self) -> &Parts {
        &self.head
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

//! A server of the tests that misbehaves on command, at the level of the socket: any status and header, bodies
//! cut in chunks, dripped, endless, bombs, connections that hang, close or are reset. It notes every request
//! with its headers and the moment it came.
//!
//! An answer is a list of [`Step`]s. After the last one the connection serves the next request, unless a step
//! has ended it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    /// With the query.
    pub target: String,
    /// Names in small letters, in the order of the request.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A parameter of the query, decoded; the first of that name.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries(name).into_iter().next()
    }

    /// All parameters of that name, decoded.
    pub fn queries(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value)).collect()
    }
}

fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One thing that the server does.
#[derive(Clone, Debug)]
pub enum Step {
    Bytes(Vec<u8>),
    /// The same bytes so many times, as fast as they are taken.
    Repeat(Vec<u8>, u64),
    /// One byte after the other with a pause before each.
    Drip(Vec<u8>, Duration),
    Wait(Duration),
    /// Says nothing more until the other side has gone.
    Hang,
    /// An orderly end.
    Close,
    /// An end that the other side sees as a reset.
    Reset,
}

pub type Answer = Vec<Step>;

/// A whole answer with its length.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut bytes = head(status, headers);
    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
    bytes.extend(body);
    vec![Step::Bytes(bytes)]
}

/// A good page.
pub fn json(body: impl AsRef<[u8]>) -> Answer {
    answer(200, &[("content-type", "application/json")], body.as_ref())
}

/// An answer in chunks, with `between` done between any two of them.
pub fn chunked(status: u16, headers: &[(&str, &str)], chunks: &[&[u8]], between: Option<Step>) -> Answer {
    let mut bytes = head(status, headers);
    bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
    let mut steps = vec![Step::Bytes(bytes)];
    for chunk in chunks {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend(*chunk);
        bytes.extend(b"\r\n");
        steps.push(Step::Bytes(bytes));
        steps.extend(between.clone());
    }
    steps.push(Step::Bytes(b"0\r\n\r\n".to_vec()));
    steps
}

/// Status line and headers, without the empty line that ends them.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.into_bytes()
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// The server. It ends with its value.
pub struct FaultServer {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
    over: Arc<AtomicBool>,
}

impl FaultServer {
    /// Answers each request as `handler` says.
    pub fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> FaultServer {
        FaultServer::serve(Arc::new(handler), None)
    }

    /// The same over TLS, with a certificate for this name.
    pub fn start_tls(certified: &Certified, handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> FaultServer {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.chain.clone()], certified.key.clone_key())
            .unwrap();
        FaultServer::serve(Arc::new(handler), Some(Arc::new(config)))
    }

    /// Gives the answers one after the other; the last one for ever.
    pub fn script(answers: Vec<Answer>) -> FaultServer {
        let next = Mutex::new(0);
        FaultServer::start(move |_| {
            let mut next = next.lock().unwrap();
            let answer = answers[(*next).min(answers.len() - 1)].clone();
            *next += 1;
            answer
        })
    }

    fn serve(handler: Arc<Handler>, tls: Option<Arc<rustls::ServerConfig>>) -> FaultServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let connections = Arc::new(Mutex::new(0));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = FaultServer { address, scheme, seen: seen.clone(), connections: connections.clone(), over: over.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                *connections.lock().unwrap() += 1;
                let (handler, seen, over, tls) = (handler.clone(), seen.clone(), over.clone(), tls.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    // Nobody who has gone away keeps a thread.
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                    let raw = stream.try_clone().unwrap();
                    let mut wire: Box<dyn Wire> = match tls {
                        None => Box::new(stream),
                        Some(config) => {
                            let session = rustls::ServerConnection::new(config).unwrap();
                            Box::new(rustls::StreamOwned::new(session, stream))
                        }
                    };
                    Connection { handler, seen, over, raw }.serve(wire.as_mut());
                });
            }
        });
        server
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn url(&self) -> String {
        match self.scheme {
            // A certificate is for a name.
            "https" => format!("https://localhost:{}", self.address.port()),
            _ => format!("http://{}", self.address),
        }
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A certificate with its key.
pub struct Certified {
    pub chain: rustls::pki_types::CertificateDer<'static>,
    pub key: rustls::pki_types::PrivateKeyDer<'static>,
    /// The certificate as a bundle that a client may trust.
    pub pem: String,
}

/// A certificate for `localhost` that nobody knows.
pub fn certificate() -> Certified {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    Certified { chain: made.cert.der().clone(), key, pem: made.cert.pem() }
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

struct Connection {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
    raw: TcpStream,
}

impl Connection {
    fn serve(&self, wire: &mut dyn Wire) {
        let mut read = Vec::new();
        while let Some(request) = self.request(wire, &mut read) {
            self.seen.lock().unwrap().push(request.clone());
            for step in (self.handler)(&request) {
                if self.step(wire, step).is_none() {
                    return;
                }
            }
        }
    }

    /// More bytes; `None` at the end.
    fn more(&self, wire: &mut dyn Wire, read: &mut Vec<u8>) -> Option<()> {
        let mut part = [0; 8192];
        while !self.over.load(Ordering::SeqCst) {
            match wire.read(&mut part) {
                Ok(0) => return None,
                Ok(length) => {
                    read.extend(&part[..length]);
                    return Some(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn request(&self, wire: &mut dyn Wire, read: &mut Vec<u8>) -> Option<Seen> {
        let end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(wire, read)?;
        };
        let at = Instant::now();
        let head = String::from_utf8(read.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_string(), first.next()?.to_string());
        let headers: Vec<(String, String)> =
            lines.filter_map(|line| line.split_once(':')).map(|(n, v)| (n.to_lowercase(), v.trim().to_string())).collect();
        let mut request = Seen { at, method, target, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while read.len() < length {
            self.more(wire, read)?;
        }
        request.body = read.drain(..length).collect();
        Some(request)
    }

    /// `None` when the connection has ended.
    fn step(&self, wire: &mut dyn Wire, step: Step) -> Option<()> {
        let mut send = |bytes: &[u8]| wire.write_all(bytes).and_then(|()| wire.flush()).ok();
        match step {
            Step::Bytes(bytes) => send(&bytes),
            Step::Repeat(bytes, times) => {
                (0..times).try_for_each(|_| if self.over.load(Ordering::SeqCst) { None } else { send(&bytes) })
            }
            Step::Drip(bytes, pause) => bytes.chunks(1).try_for_each(|byte| {
                self.wait(pause)?;
                send(byte)
            }),
            Step::Wait(pause) => self.wait(pause),
            Step::Hang => {
                let mut ignored = Vec::new();
                while self.more(wire, &mut ignored).is_some() {}
                None
            }
            Step::Close => {
                let _ = self.raw.shutdown(std::net::Shutdown::Both);
                None
            }
            Step::Reset => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
                let _entered = runtime.enter();
                let stream = self.raw.try_clone().unwrap();
                stream.set_nonblocking(true).unwrap();
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                // With nothing left to linger for, the end is a reset.
                stream.set_zero_linger().unwrap();
                None
            }
        }
    }

    fn wait(&self, pause: Duration) -> Option<()> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.over.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
        }
        Some(())
    }
}

#[test]
fn the_fault_server_does_what_it_is_told() {
    let server = FaultServer::script(vec![
        json("{}"),
        chunked(200, &[("content-type", "text/csv")], &[b"a,b\n", b"1,2\n"], Some(Step::Wait(Duration::from_millis(20)))),
        vec![Step::Drip(b"HTTP/1.1 204 None\r\n\r\n".to_vec(), Duration::from_millis(1))],
        vec![Step::Reset],
    ]);
    let ask = |stream: &mut TcpStream, wanted: &str| {
        stream.write_all(b"GET /v1/x?a=1%202&a=3+4 HTTP/1.1\r\nX-Key: one\r\n\r\n").unwrap();
        let mut got = vec![0; wanted.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), wanted);
    };
    let mut stream = TcpStream::connect(server.address).unwrap();
    ask(&mut stream, "HTTP/1.1 200 Status\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    let head = "HTTP/1.1 200 Status\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
    ask(&mut stream, &format!("{head}4\r\na,b\n\r\n4\r\n1,2\n\r\n0\r\n\r\n"));
    ask(&mut stream, "HTTP/1.1 204 None\r\n\r\n");
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let seen = server.seen();
    assert_eq!((seen.len(), server.connections()), (4, 1));
    assert_eq!((seen[0].path(), seen[0].queries("a")), ("/v1/x", vec!["1 2".to_string(), "3 4".to_string()]));
    assert_eq!((seen[0].header("x-key"), seen[3].body.as_slice()), (Some("one"), b"abc".as_slice()));
    assert!(seen[1].at >= seen[0].at);
    assert_eq!(server.url(), format!("http://{}", server.address));
}

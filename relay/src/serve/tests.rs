//! The running service without a database: what clients get while there is none, bad input, and
//! the way it stops. What needs a database is tested with a real one, end to end.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use super::{Config, Error, run};

const LONG: Duration = Duration::from_secs(20);

struct Service {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Service {
    /// A relay whose database refuses connections.
    async fn start() -> Self {
        let mut config = config("postgresql://nobody@127.0.0.1:1/none");
        let (ready, bound) = oneshot::channel();
        config.ready = Some(ready);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(config, shutdown.clone()));
        Self {
            address: bound.await.unwrap(),
            shutdown,
            task,
        }
    }

    async fn request(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let text = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            headers
                .lines()
                .map(|header| format!("{header}\r\n"))
                .collect::<String>(),
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn code(&self, request: &str) -> (u16, String) {
        let (status, body) = self.request(request).await;
        let body: Json = serde_json::from_str(&body).unwrap();
        (status, body["code"].as_str().unwrap().to_owned())
    }

    async fn socket(&self, path: &str) -> Socket {
        let (stream, _) = connect_async(format!("ws://{}{path}", self.address))
            .await
            .unwrap();
        Socket(stream)
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap().unwrap();
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn send(&mut self, message: Json) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    async fn connect(&mut self) {
        self.send(json!({
            "type": "Connect", "sessionId": "4bf4a54d-66a6-4b0e-a4d4-5f9a0b8e6a0d",
            "connectionCount": 0, "lastCloseReason": "InitialConnect", "clientTs": 1,
        }))
        .await;
    }

    async fn next(&mut self) -> Message {
        timeout(LONG, self.0.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    async fn json(&mut self) -> Json {
        serde_json::from_str(self.next().await.to_text().unwrap()).unwrap()
    }

    async fn close_code(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("not a close frame: {other:?}"),
        }
    }
}

fn config(url: &str) -> Config {
    Config::new(url, "127.0.0.1:0".parse().unwrap(), "app|key")
}

#[tokio::test]
async fn plain_routes_answer_without_a_database() {
    let service = Service::start().await;
    assert_eq!(
        service.request("GET /version").await,
        (200, env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(service.request("GET /instance_name").await.0, 200);
    assert_eq!(service.request("GET /").await.0, 200);
    assert_eq!(
        service.request("POST /echo\n\nabc").await,
        (200, "abc".into())
    );
    assert_eq!(service.request("GET /healthz").await.0, 503);
    let (status, metrics) = service.request("GET /metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("pg_live_attached 0"), "{metrics}");
    service.stop().await;
}

#[tokio::test]
async fn bad_requests_are_told() {
    let service = Service::start().await;
    let cases = [
        ("GET /api/nothing", (404, "NotFound")),
        ("POST /api/query\n\n{", (400, "BadJsonBody")),
        (
            "POST /api/query\n\n{\"path\":\"../x\"}",
            (400, "BadConvexFunctionIdentifier"),
        ),
        (
            "POST /api/query\n\n{\"path\":\"m:f\",\"args\":3}",
            (400, "InvalidArguments"),
        ),
        (
            "GET /api/query?path=m:f&args=%7B",
            (400, "InvalidArguments"),
        ),
        (
            "POST /api/query\n\n{\"path\":\"m:f\",\"format\":\"xml\"}",
            (400, "BadFormat"),
        ),
        (
            "POST /api/function\n\n{\"path\":\"m:f\"}",
            (403, "BadAdminKey"),
        ),
        (
            "POST /api/query\nAuthorization: Bearer abc\n\n{\"path\":\"m:f\"}",
            (401, "InvalidAuthHeader"),
        ),
        (
            "GET /api/check_admin_key\nAuthorization: Convex no",
            (401, "BadAdminKey"),
        ),
    ];
    for (request, (status, code)) in cases {
        assert_eq!(
            service.code(request).await,
            (status, code.into()),
            "{request}"
        );
    }
    let allowed = "GET /api/check_admin_key\nAuthorization: Convex app|key";
    assert_eq!(service.request(allowed).await.0, 200);
    let (status, body) = service
        .request("POST /api/action\n\n{\"path\":\"m:f\"}")
        .await;
    let body: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["status"]), (200, &json!("error")));
    service.stop().await;
}

#[tokio::test]
async fn violations_of_the_protocol_end_the_socket() {
    let service = Service::start().await;
    for path in ["/api/sync", "/api/1.48.0/sync"] {
        let mut socket = service.socket(path).await;
        socket
            .send(json!({"type": "Event", "eventType": "x", "event": null}))
            .await;
        let fatal = socket.json().await;
        assert_eq!(fatal["type"], "FatalError");
        assert!(
            fatal["error"].as_str().unwrap().contains("Connect"),
            "{fatal}"
        );
        assert_eq!(socket.close_code().await, 1000);
    }
    let mut socket = service.socket("/api/sync").await;
    socket.0.send(Message::text("{")).await.unwrap();
    assert_eq!(socket.json().await["type"], "FatalError");
    let mut socket = service.socket("/api/sync").await;
    socket.connect().await;
    let token = json!({"type": "Authenticate", "tokenType": "User", "value": "jwt",
        "baseVersion": 0});
    socket.send(token).await;
    assert_eq!(socket.json().await["type"], "AuthError");
    assert_eq!(socket.close_code().await, 1000);
    service.stop().await;
}

#[tokio::test]
async fn what_needs_no_database_works_and_the_rest_waits() {
    let service = Service::start().await;
    let mut socket = service.socket("/api/sync").await;
    socket.connect().await;
    let modification = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1,
        "modifications": []});
    socket.send(modification).await;
    let transition = socket.json().await;
    assert_eq!(
        transition["endVersion"],
        json!({"querySet": 1, "identity": 0, "ts": "AAAAAAAAAAA="})
    );
    let add = json!({"type": "ModifyQuerySet", "baseVersion": 1, "newVersion": 2,
        "modifications": [{"type": "Add", "queryId": 0, "udfPath": "m:f", "args": [{}]}]});
    socket.send(add).await;
    let mutation = json!({"type": "Mutation", "requestId": 0, "udfPath": "m:f", "args": [{}]});
    socket.send(mutation).await;
    socket
        .send(json!({"type": "Action", "requestId": 1, "udfPath": "m:f", "args": [{}]}))
        .await;
    assert_eq!(socket.json().await["type"], "ActionResponse");
    let (_, metrics) = service.request("GET /metrics").await;
    assert!(metrics.contains("\npg_live_subscriptions 1\n"), "{metrics}");
    assert!(
        timeout(Duration::from_millis(300), socket.0.next())
            .await
            .is_err(),
        "it waits"
    );
    // Neither the waiting run nor the waiting mutation holds the relay up.
    service.shutdown.cancel();
    let mut frames = Vec::new();
    while let Ok(Some(Ok(frame))) = timeout(LONG, socket.0.next()).await {
        frames.push(frame);
    }
    let close = frames.iter().find_map(|frame| match frame {
        Message::Close(Some(frame)) => Some(u16::from(frame.code)),
        _ => None,
    });
    assert_eq!(close, Some(1001), "{frames:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let service = Service::start().await;
    let mut socket = service.socket("/api/sync").await;
    socket.connect().await;
    let add = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1,
        "modifications": [{"type": "Add", "queryId": 0, "udfPath": "m:f", "args": [{}]}]});
    socket.send(add).await;
    drop(socket);
    let forgotten = async {
        loop {
            let (_, metrics) = service.request("GET /metrics").await;
            let gone = metrics.contains("\npg_live_sessions 0\n")
                && metrics.contains("\npg_live_sessions_total 1\n");
            if gone {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, forgotten).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn wrong_settings_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config("postgresql://nobody@127.0.0.1:1/none");
    config.listen = taken.local_addr().unwrap();
    let error = run(config, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    assert!(
        error
            .to_string()
            .contains("stop the process that uses this port"),
        "{error}"
    );
    let error = run(self::config("mysql://x"), CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::DatabaseUrl(_)), "{error}");
}

#[tokio::test]
async fn static_files_are_served_with_the_start_page_for_routes_of_the_app() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.html"), "start").unwrap();
    std::fs::write(dir.path().join("a.js"), "code").unwrap();
    let mut config = config("postgresql://nobody@127.0.0.1:1/none");
    config.static_dir = Some(dir.path().to_owned());
    let (ready, bound) = oneshot::channel();
    config.ready = Some(ready);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(config, shutdown.clone()));
    let service = Service {
        address: bound.await.unwrap(),
        shutdown,
        task,
    };
    for (path, body) in [("/", "start"), ("/a.js", "code"), ("/room/7", "start")] {
        assert_eq!(
            service.request(&format!("GET {path}")).await,
            (200, body.into()),
            "{path}"
        );
    }
    assert_eq!(service.code("GET /api/nothing").await.0, 404);
    service.stop().await;
}

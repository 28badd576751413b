//! Keep-alive HTTP connection with a fixed request.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) struct Wire {
    socket: TcpStream,
    request: Vec<u8>,
}

impl Wire {
    /// Connects to `address`, and prepares the request `GET path` with an optional header `Cookie`.
    pub(crate) async fn connect(address: &str, path: &str, cookie: Option<&str>) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let cookie = cookie.map(|cookie| format!("cookie: {cookie}\r\n"));
        let cookie = cookie.unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{cookie}\r\n");
        Self {
            socket,
            request: request.into_bytes(),
        }
    }

    /// Sends the request this number of times, and reads each whole response.
    pub(crate) async fn ask(&mut self, times: usize) {
        let mut buffer = [0; 4096];
        for _ in 0..times {
            self.socket.write_all(&self.request).await.unwrap();
            let mut got = 0;
            while !is_whole(&buffer[..got]) {
                let n = self.socket.read(&mut buffer[got..]).await.unwrap();
                assert!(n > 0, "the server closed the connection");
                got += n;
            }
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.unwrap().parse() == Ok(body.len())
}

//! The QEMU guest agent, as far as it takes to know that it is there (QEMU
//! documentation, "QEMU Guest Agent Protocol Reference").

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What goes before a `guest-sync-delimited` and its answer: it ends whatever
/// either side has left of an earlier message.
const DELIMITER: u8 = 0xFF;

/// How long an agent may take to answer before it is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// A channel with an agent at its other end, or nobody.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    received: Vec<u8>,
    asked: Option<Instant>,
    /// The number of the last question.
    id: u64,
    in_step: bool,
}

impl Agent {
    /// Connects to the host's end of the channel.
    ///
    /// # Errors
    ///
    /// If QEMU does not listen there.
    pub fn new(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).context("QEMU does not open the guest agent's channel")?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
            asked: None,
            id: 0,
            in_step: false,
        })
    }

    /// Asks, or looks for an answer; never waits. `true` once the agent has come
    /// into step (`guest-sync-delimited`) and has answered a `guest-ping`.
    ///
    /// # Errors
    ///
    /// If QEMU is gone.
    pub fn answers(&mut self) -> Result<bool> {
        while let Some(line) = self.line()? {
            let text = line.rsplit(|&byte| byte == DELIMITER).next();
            let answer: Value =
                serde_json::from_slice(text.unwrap_or_default()).unwrap_or_default();
            let answer = &answer["return"];
            if self.in_step && answer.is_object() {
                return Ok(true);
            }
            if answer.as_u64().is_some_and(|id| id > 0 && id == self.id) {
                self.in_step = true;
                self.send(&[], &json!({"execute": "guest-ping"}))?;
            }
        }
        // Also after a ping: the guest may have restarted since the answer.
        if self.asked.is_none_or(|asked| asked.elapsed() > AGAIN) {
            self.in_step = false;
            self.id += 1;
            let question = json!({"execute": "guest-sync-delimited", "arguments": {"id": self.id}});
            self.send(&[DELIMITER], &question)?;
        }
        Ok(false)
    }

    /// The next line that has arrived whole.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(self.received.drain(..=end).collect()));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => self.received.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("the guest agent's channel"),
            }
        }
    }

    fn send(&mut self, before: &[u8], message: &Value) -> Result<()> {
        self.asked = Some(Instant::now());
        let message = [before, message.to_string().as_bytes(), b"\n"].concat();
        match self.stream.write_all(&message) {
            // Nobody reads: the channel is full of questions.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result.context("the guest agent's channel"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        thread,
    };

    use super::*;

    /// An agent's channel with nobody at its other end yet.
    fn channel() -> (Agent, UnixStream) {
        let (host, guest) = UnixStream::pair().expect("a pair");
        host.set_nonblocking(true).expect("a socket");
        let agent = Agent {
            stream: host,
            received: Vec::new(),
            asked: None,
            id: 0,
            in_step: false,
        };
        (agent, guest)
    }

    fn wait(agent: &mut Agent) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            agent.answers().expect("the channel is open")
        })
    }

    #[test]
    fn an_agent_is_there_when_it_answers_the_ping() {
        let (mut agent, mut guest) = channel();
        let stand_in = thread::spawn(move || {
            let mut lines = BufReader::new(guest.try_clone().expect("a socket")).split(b'\n');
            let question = lines.next().expect("a question").expect("a line");
            assert_eq!(question[0], DELIMITER);
            let question: Value = serde_json::from_slice(&question[1..]).expect("JSON");
            assert_eq!(question["execute"], "guest-sync-delimited");
            let id = &question["arguments"]["id"];
            // What is left of another conversation comes first.
            guest.write_all(b"{\"return\": {}}\n{\"retu").expect("open");
            write!(guest, "\u{0}").expect("open");
            guest.write_all(&[DELIMITER]).expect("open");
            writeln!(guest, "{{\"return\": {id}}}").expect("open");
            let ping = lines.next().expect("a ping").expect("a line");
            assert_eq!(ping, br#"{"execute":"guest-ping"}"#);
            writeln!(guest, "{{\"return\": {{}}}}").expect("open");
        });
        assert!(wait(&mut agent));
        stand_in.join().expect("the stand-in is content");
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let (mut agent, mut guest) = channel();
        writeln!(guest, "{{\"return\": 77}}\n{{\"return\": {{}}}}").expect("open");
        assert!(!agent.answers().expect("the channel is open"));
        assert!(!agent.answers().expect("the channel is open"));
    }
}

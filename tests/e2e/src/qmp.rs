//! The QEMU Machine Protocol: commands and events over a socket.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to answer a command.
const ANSWER: Duration = Duration::from_secs(30);

/// An event, with the moment at which it arrived.
#[derive(Clone, Debug)]
pub struct Event {
    /// The name, for example `GUEST_PANICKED`.
    pub name: String,
    /// The event's data, or null.
    pub data: Value,
    /// When this process read it.
    pub at: Instant,
}

/// A connection to QEMU. Events that arrive are kept in order.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    messages: Receiver<(Value, Instant)>,
    events: VecDeque<Event>,
}

impl Qmp {
    /// Takes QEMU's greeting and leaves negotiation mode.
    ///
    /// # Errors
    ///
    /// If QEMU closes the connection or does not greet.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let reader = BufReader::new(stream.try_clone()?);
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in reader.lines() {
                let Ok(line) = line else { break };
                let at = Instant::now();
                let Ok(message) = serde_json::from_str::<Value>(&line) else {
                    break;
                };
                if sender.send((message, at)).is_err() {
                    break;
                }
            }
        });
        let mut qmp = Self {
            stream,
            messages,
            events: VecDeque::new(),
        };
        let (greeting, _) = qmp
            .messages
            .recv_timeout(ANSWER)
            .context("QEMU closed its QMP socket before it greeted")?;
        if greeting.get("QMP").is_none() {
            bail!("no QMP greeting but {greeting}");
        }
        qmp.execute("qmp_capabilities", &Value::Null)?;
        Ok(qmp)
    }

    /// Sends a command and waits for its answer. Events that arrive before it
    /// are kept: every event that QEMU sent before it took the command is there
    /// when this returns.
    ///
    /// # Errors
    ///
    /// If QEMU refuses the command or is gone.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments.clone();
        }
        writeln!(self.stream, "{request}").with_context(|| format!("QEMU is gone: {command}"))?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let (message, at) = self
                .messages
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .with_context(|| format!("QEMU did not answer {command}"))?;
            if let Some(answer) = message.get("return") {
                return Ok(answer.clone());
            }
            if let Some(error) = message.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
            self.keep(&message, at);
        }
    }

    /// Takes in what has arrived, waiting at most `wait` for something new.
    /// `false` if QEMU closed the connection.
    pub fn poll(&mut self, wait: Duration) -> bool {
        match self.messages.recv_timeout(wait) {
            Ok((message, at)) => {
                self.keep(&message, at);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// All events so far, in order of arrival.
    #[must_use]
    pub const fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    fn keep(&mut self, message: &Value, at: Instant) {
        if let Some(name) = message.get("event").and_then(Value::as_str) {
            self.events.push_back(Event {
                name: name.to_owned(),
                data: message.get("data").cloned().unwrap_or(Value::Null),
                at,
            });
        }
    }
}

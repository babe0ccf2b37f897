//! A machine with a driver store and devices, which behaves as Windows is
//! documented to, and fails the call that it is told to.

use installer_logic::{Device, How, Log, Restart, Text, Win32Error, Windows};

/// What a failing call answers: access denied.
pub const DENIED: Win32Error = Win32Error(5);

/// The INF of a package of ours.
pub fn ours(date: &str, version: &str) -> String {
    format!(
        "[Version]\r\nProvider = %Provider%\r\nCatalogFile = pvpanic.cat\r\n\
         DriverVer = {date},{version}\r\n[Strings]\r\nProvider = \"pvpanic for Windows\"\r\n"
    )
}

/// The INF of another maker's.
pub fn theirs(date: &str) -> String {
    format!(
        "[Version]\r\nProvider = \"Red Hat, Inc.\"\r\nCatalogFile = pvpanic.cat\r\n\
         DriverVer = {date},100.9.0.1\r\n"
    )
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Published name and text.
    pub store: Vec<(String, String)>,
    pub devices: Vec<Device>,
}

/// The machine, while somebody works on it.
#[derive(Clone, Debug)]
pub struct Session {
    pub machine: Machine,
    /// The INF in the installation folder.
    pub folder: String,
    /// Calls so far.
    pub calls: usize,
    /// The call that fails, from 1.
    pub failing: Option<usize>,
    /// What it answers.
    pub code: Win32Error,
    /// What Windows answers of restarts.
    pub restart: Restart,
    /// Windows says yes and installs nowhere, whatever it is asked.
    pub stubborn: bool,
    pub reports: Vec<String>,
    pub failures: Vec<String>,
}

impl Session {
    pub fn new(machine: Machine, folder: &str) -> Self {
        Self {
            machine,
            folder: folder.to_owned(),
            calls: 0,
            failing: None,
            code: DENIED,
            restart: Restart::NotNeeded,
            stubborn: false,
            reports: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn call(&mut self) -> Result<(), Win32Error> {
        self.calls += 1;
        if self.failing == Some(self.calls) {
            return Err(self.code);
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Option<String> {
        let found = self.machine.store.iter().find(|(it, _)| it == name);
        found.map(|(_, text)| text.clone())
    }

    /// `DriverVer`'s date and version, as Windows compares them.
    fn rank(text: &str) -> Vec<u32> {
        let line = text.lines().find(|line| line.starts_with("DriverVer"));
        let numbers: Vec<u32> = line
            .unwrap_or_default()
            .split(|it: char| !it.is_ascii_digit())
            .filter_map(|it| it.parse().ok())
            .collect();
        match numbers[..] {
            [month, day, year, a, b, c, d] => vec![year, month, day, a, b, c, d],
            _ => panic!("no DriverVer in {text}"),
        }
    }

    fn stage(&mut self, text: &str) -> String {
        if let Some((name, _)) = self.machine.store.iter().find(|(_, it)| it == text) {
            return name.clone();
        }
        let name = (0..=self.machine.store.len())
            .map(|number| format!("oem{number}.inf"))
            .find(|name| self.text(name).is_none())
            .expect("there is one number more than packages");
        self.machine.store.push((name.clone(), text.to_owned()));
        name
    }

    fn put(&mut self, name: &str, how: How) -> Result<Restart, Win32Error> {
        let text = self.text(name).ok_or(Win32Error(2))?;
        let mut changed = false;
        for index in 0..self.machine.devices.len() {
            let current = self.machine.devices[index].inf;
            let is_better = current
                .and_then(|inf| self.text(inf))
                .is_none_or(|current| Self::rank(&text) > Self::rank(&current));
            if !self.stubborn && (how == How::Everywhere || is_better) {
                self.machine.devices[index].inf = Some(name.to_owned().leak());
                changed = true;
            }
        }
        if self.machine.devices.is_empty() {
            return Err(Win32Error(0xE000_020B));
        }
        if !changed && !self.stubborn {
            return Err(Win32Error(259));
        }
        Ok(self.restart)
    }
}

impl Windows for Session {
    fn devices(&mut self) -> Result<&'static [Device], Win32Error> {
        self.call()?;
        Ok(self.machine.devices.clone().leak())
    }

    fn published(&mut self) -> Result<&'static [Text], Win32Error> {
        self.call()?;
        let names = self.machine.store.iter().map(|it| &*it.0.clone().leak());
        Ok(names.collect::<Vec<Text>>().leak())
    }

    fn read(&mut self, published: &str) -> Result<&'static [u8], Win32Error> {
        self.call()?;
        let text = self.text(published).ok_or(Win32Error(2))?;
        Ok(text.leak().as_bytes())
    }

    fn install(&mut self, path: &str, how: How) -> Result<Restart, Win32Error> {
        assert_eq!(path, r"C:\pvpanic\pvpanic.inf");
        self.call()?;
        let name = self.stage(&self.folder.clone());
        self.put(&name, how)
    }

    fn reinstall(&mut self, published: &str) -> Result<Restart, Win32Error> {
        self.call()?;
        self.put(published, How::Everywhere)
    }

    fn uninstall(&mut self, published: &str) -> Result<Restart, Win32Error> {
        self.call()?;
        if self.text(published).is_none() {
            return Err(Win32Error(2));
        }
        self.machine.store.retain(|(name, _)| name != published);
        let matching = self.machine.store.iter();
        let matching = matching.filter(|it| it.1.contains("pvpanic.cat"));
        let best = matching.max_by_key(|it| Self::rank(&it.1));
        let best: Option<Text> = best.map(|(name, _)| &*name.clone().leak());
        for device in &mut self.machine.devices {
            if device.inf == Some(published) {
                device.inf = best;
            }
        }
        Ok(self.restart)
    }
}

impl Log for Session {
    fn report(&mut self, parts: &[&str]) {
        self.reports.push(parts.concat());
    }

    fn fail(&mut self, parts: &[&str]) {
        self.failures.push(parts.concat());
    }
}

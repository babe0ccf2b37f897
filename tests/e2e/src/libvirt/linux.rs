//! The Linux guest: Debian's own kernel with its own pvpanic modules, and a few files
//! around busybox.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};

const INIT: &str = include_str!("linux-init.sh");
const MODULES: [&str; 3] = ["pvpanic.ko", "pvpanic-mmio.ko", "pvpanic-pci.ko"];

/// What a Linux guest is started with.
#[derive(Debug)]
pub struct Linux {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initrd: Vec<u8>,
    /// The same, with the kernel and what loads it as the crash kernel.
    pub initrd_with_crash_kernel: Vec<u8>,
    /// The module that both buses' drivers need.
    pub module: Vec<u8>,
}

impl Linux {
    /// Makes the guest of the packages that are unpacked in `root`.
    ///
    /// # Errors
    ///
    /// If a file is not in them.
    pub fn new(root: &Path) -> Result<Self> {
        let kernel = read(&only(&root.join("boot"), "vmlinuz-")?)?;
        let modules = only(&root.join("lib/modules"), "")?.join("kernel/drivers/misc/pvpanic");
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "lib", "lib64", "proc", "sys"] {
            archive.folder(folder);
        }
        archive.program("init", INIT.as_bytes());
        archive.program("bin/busybox", &read(&root.join("bin/busybox"))?);
        for module in MODULES {
            archive.program(module, &read(&modules.join(module))?);
        }
        let initrd = archive.end();
        let mut archive = Archive::default();
        archive.program("vmlinuz", &kernel);
        archive.program("initrd", &initrd);
        archive.program("bin/kexec", &read(&root.join("sbin/kexec"))?);
        for (name, library) in libraries(root, &root.join("sbin/kexec"))? {
            archive.program(&name, &read(&library)?);
        }
        // The kernel unpacks archive after archive.
        let initrd_with_crash_kernel = [initrd.clone(), archive.end()].concat();
        Ok(Self {
            kernel,
            initrd,
            initrd_with_crash_kernel,
            module: read(&modules.join(MODULES[0]))?,
        })
    }
}

/// The libraries of a program of `root`: where the guest has them, and where they are.
fn libraries(root: &Path, program: &Path) -> Result<Vec<(String, PathBuf)>> {
    const LOADER: &str = "ld-linux-x86-64.so.2";
    let folders = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|it| root.join(it));
    let loader = folders[0].join(LOADER);
    let output = Command::new(&loader)
        .arg("--library-path")
        .arg(std::env::join_paths(&folders)?)
        .arg("--list")
        .arg(program)
        .output()
        .with_context(|| format!("can't run {}", loader.display()))?;
    let listing = String::from_utf8(output.stdout)?;
    let mut libraries = vec![(format!("lib64/{LOADER}"), loader)];
    for line in listing.lines() {
        // `libc.so.6 => /…/libc.so.6 (0x…)`
        let Some((name, place)) = line.trim().split_once(" => ") else {
            continue;
        };
        if name.contains('/') {
            continue;
        }
        let path = place
            .rsplit_once(" (")
            .map(|(path, _)| PathBuf::from(path))
            .filter(|path| path.starts_with(root))
            .ok_or_else(|| anyhow!("{} needs {name}: {place}", program.display()))?;
        libraries.push((format!("lib/{name}"), path));
    }
    Ok(libraries)
}

/// The one entry of a folder whose name begins so.
fn only(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", folder.display()))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    match found.pop() {
        Some(path) if found.is_empty() => Ok(path),
        _ => bail!("there is not one {prefix}* in {}", folder.display()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// A cpio archive of the kind that Linux unpacks at boot (its documentation,
/// "initramfs buffer format").
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: usize,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, content);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: usize, content: &[u8]) {
        self.entries += 1;
        // Inode, mode, user, group, links, time, size, device (2), node's device (2),
        // name's length with its NUL, checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_aligned_entries_and_an_end() {
        let mut archive = Archive::default();
        archive.program("init", b"abc");
        let bytes = archive.end();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[110..120], b"init\0\0abc\0");
        assert_eq!(&bytes[120..126], b"070701");
        assert_eq!(&bytes[230..240], b"TRAILER!!!");
        assert_eq!(bytes.len() % 4, 0);
    }
}

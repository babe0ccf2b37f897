//! A real libvirt with real guests that crash.
//!
//! [`host`] runs libvirtd in namespaces of its own, [`table`] has the situations and
//! what a host operator must see in each, [`domain`] starts a guest of one of them
//! and watches it, [`log`] and [`dump`] read what libvirt leaves, and [`linux`] makes
//! the Linux guest that stands beside the driver's.

pub mod domain;
pub mod dump;
pub mod host;
pub mod linux;
pub mod log;
pub mod table;

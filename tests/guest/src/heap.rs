//! The heap: everything in the guest that is not in its image, page tables and
//! the model's pages included.

use crate::run::Region;
use spinning_top::RawSpinlock;
use talc::{TalcLock, source::Manual};

#[global_allocator]
static HEAP: TalcLock<RawSpinlock, Manual> = TalcLock::new(Manual);

/// Gives the memory of `region` to the heap.
///
/// # Safety
///
/// The region is mapped one to one, writable, and nobody else's.
pub unsafe fn claim(region: &Region) -> bool {
    let start = core::ptr::with_exposed_provenance_mut(region.start);
    // SAFETY: the caller gives the region away.
    unsafe { HEAP.lock().claim(start, region.end - region.start) }.is_some()
}

//! What a library without a C runtime brings along: memory from the process's
//! heap, and an end.

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_void,
    panic::PanicInfo,
};

use windows_sys::Win32::{
    Foundation::ERROR_INSTALL_FAILURE,
    System::{
        Memory::{GetProcessHeap, HeapAlloc, HeapReAlloc},
        Threading::ExitProcess,
    },
};

/// The process's heap, whose blocks are aligned to 16 bytes on 64-bit Windows.
///
/// Nothing is freed: the process ends with the installation, an action needs a
/// few hundred KiB, and what is never freed can't be freed twice. It also keeps
/// the library a third smaller.
struct ProcessHeap;

#[global_allocator]
static HEAP: ProcessHeap = ProcessHeap;

const HEAP_ALIGNMENT: usize = 16;

// SAFETY: the heap's functions are thread-safe and keep to the contract for
// every alignment that the heap has; others get no memory.
unsafe impl GlobalAlloc for ProcessHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > HEAP_ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: has no conditions.
        let heap = unsafe { GetProcessHeap() };
        // SAFETY: the process's heap exists as long as the process.
        unsafe { HeapAlloc(heap, 0, layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, _: Layout, size: usize) -> *mut u8 {
        // SAFETY: has no conditions.
        let heap = unsafe { GetProcessHeap() };
        // SAFETY: the block is from this heap, by the caller's promise.
        unsafe { HeapReAlloc(heap, 0, block.cast::<c_void>(), size) }.cast()
    }
}

/// Ends the process that Windows Installer keeps for the custom action, so that
/// it fails and everything is rolled back.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: has no conditions.
    unsafe { ExitProcess(ERROR_INSTALL_FAILURE) }
}

// What the compiler itself calls, from ntdll instead of a C runtime.
#[expect(dead_code, reason = "only the compiler calls them")]
#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcmp(one: *const c_void, other: *const c_void, size: usize) -> i32;
    fn memcpy(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    fn memmove(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    fn memset(to: *mut c_void, value: i32, size: usize) -> *mut c_void;
}

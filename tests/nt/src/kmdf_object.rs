//! KMDF: objects, contexts, memory and spin locks.

use crate::{
    function::{ANY_THREAD, Function, kmdf},
    gate::Frame,
    kernel::{DISPATCH_LEVEL, State, Stop, violation},
    kmdf_driver::check_globals,
    memory::Kind,
    object::Class,
    status::{
        NO_MEMORY, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
        STATUS_OBJECT_NAME_EXISTS, STATUS_SUCCESS,
    },
};

pub const FUNCTIONS: &[Function] = &[
    kmdf(
        202,
        "WdfObjectGetTypedContextWorker",
        "WdfObjectGetTypedContext macro",
        typed_context,
    )
    .at_any_time(),
    kmdf(
        203,
        "WdfObjectAllocateContext",
        "WdfObjectAllocateContext",
        allocate_context,
    )
    .up_to(ANY_THREAD)
    .fails(&[NO_MEMORY]),
    kmdf(208, "WdfObjectDelete", "WdfObjectDelete", delete).up_to(ANY_THREAD),
    kmdf(192, "WdfMemoryCreate", "WdfMemoryCreate", memory_create)
        .up_to(ANY_THREAD)
        .fails(&[NO_MEMORY]),
    kmdf(
        193,
        "WdfMemoryCreatePreallocated",
        "WdfMemoryCreatePreallocated",
        memory_preallocated,
    )
    .up_to(ANY_THREAD)
    .fails(&[NO_MEMORY]),
    kmdf(
        194,
        "WdfMemoryGetBuffer",
        "WdfMemoryGetBuffer",
        memory_buffer,
    )
    .up_to(ANY_THREAD),
    kmdf(315, "WdfSpinLockCreate", "WdfSpinLockCreate", lock_create)
        .up_to(ANY_THREAD)
        .fails(&[NO_MEMORY]),
    kmdf(
        316,
        "WdfSpinLockAcquire",
        "WdfSpinLockAcquire",
        lock_acquire,
    )
    .up_to(ANY_THREAD),
    kmdf(
        317,
        "WdfSpinLockRelease",
        "WdfSpinLockRelease",
        lock_release,
    )
    .up_to(ANY_THREAD),
];

/// `PagedPool` in `POOL_TYPE`.
const PAGED_POOL: u64 = 1;

fn typed_context(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.context_of(frame.argument(1), frame.argument(2))
}

fn allocate_context(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.object(frame.argument(1), "Handle")?;
    let (address, existed) = state.add_context(frame.argument(1), frame.argument(2))?;
    if frame.argument(3) != 0 {
        state.write(frame.argument(3), address, "Context")?;
    }
    Ok(if existed {
        STATUS_OBJECT_NAME_EXISTS
    } else {
        STATUS_SUCCESS
    }
    .into())
}

fn delete(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let handle = frame.argument(1);
    let class = &state.object(handle, "Object")?.class;
    // Every device here is one that Plug and Play found and removes again.
    if matches!(
        class,
        Class::Driver | Class::Device(_) | Class::IoTarget(_) | Class::Resources(_)
    ) {
        return Err(violation(
            "object-not-deletable",
            alloc::format!(
                "a {} belongs to the framework; see \"WdfObjectDelete\"",
                class.name()
            ),
        ));
    }
    state.delete_object(handle);
    Ok(0)
}

fn memory_create(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let (kind, tag, size) = (frame.argument(2), frame.argument(3), frame.argument(4));
    if size == 0 {
        return Ok(STATUS_INVALID_PARAMETER.into());
    }
    let kind = Kind::Pool {
        tag: u32::try_from(tag & 0xffff_ffff).unwrap_or(0),
        paged: kind & 0xff == PAGED_POOL,
    };
    let Some(buffer) = state.allocate(size, kind) else {
        return Ok(STATUS_INSUFFICIENT_RESOURCES.into());
    };
    let parent = state.framework.driver;
    let class = Class::Memory(buffer, size, true);
    let handle = state.create_object(class, parent, frame.argument(1))?;
    if frame.argument(6) != 0 {
        state.write(frame.argument(6), buffer, "Buffer")?;
    }
    state.give_handle(frame.argument(5), handle)
}

fn memory_preallocated(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let (buffer, size) = (frame.argument(2), frame.argument(3));
    if buffer == 0 || size == 0 {
        return Ok(STATUS_INVALID_PARAMETER.into());
    }
    state.check_memory(buffer, size, true, "Buffer")?;
    let parent = state.framework.driver;
    let class = Class::Memory(buffer, size, false);
    let handle = state.create_object(class, parent, frame.argument(1))?;
    state.give_handle(frame.argument(4), handle)
}

fn memory_buffer(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let Class::Memory(buffer, size, _) = state.class_of(frame.argument(1), "WDFMEMORY")? else {
        return Ok(0);
    };
    if frame.argument(2) != 0 {
        state.write(frame.argument(2), size, "BufferSize")?;
    }
    Ok(buffer)
}

fn lock_create(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let parent = state.framework.driver;
    let handle = state.create_object(Class::SpinLock(None), parent, frame.argument(1))?;
    state.give_handle(frame.argument(2), handle)
}

fn lock_acquire(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let handle = frame.argument(1);
    if state.class_of(handle, "WDFSPINLOCK")? != Class::SpinLock(None) {
        return Err(violation(
            "spin-lock-deadlock",
            "the spin lock is already held; see \"WdfSpinLockAcquire\"",
        ));
    }
    let irql = state.irql;
    state.objects.set_class(handle, Class::SpinLock(Some(irql)));
    state.spin_locks_held += 1;
    state.set_irql(DISPATCH_LEVEL);
    Ok(0)
}

fn lock_release(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let handle = frame.argument(1);
    let Class::SpinLock(Some(irql)) = state.class_of(handle, "WDFSPINLOCK")? else {
        return Err(violation(
            "spin-lock-not-held",
            "the spin lock is not held; see \"WdfSpinLockRelease\"",
        ));
    };
    state.objects.set_class(handle, Class::SpinLock(None));
    state.spin_locks_held -= 1;
    state.set_irql(irql);
    Ok(0)
}
